-- SPDX-License-Identifier: Apache-2.0
-- What waits for approval, or for its host; what was asked for just now ($4) is on its way to it.
UPDATE command AS c
SET state = 'cancelled', done = $3::timestamptz, detail = 'cancelled by ' || $5::text
WHERE c.host_id = $1::int4 AND c.cmd_id = $2::uuid
  AND (c.state = 'waiting_approval' OR (c.state = 'queued' AND coalesce(c.approved, c.created) < $4::timestamptz))
RETURNING
    c.host_id::int4, c.cmd_id::uuid, c.action::text, c.state::text, c.dry_run::bool, c.proc_id::int8, c.pid::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = c.host_id), '')::text,
    coalesce((SELECT p.comm FROM process p WHERE p.host_id = c.host_id AND p.proc_id = c.proc_id), '')::text,
    c.actor::text, c.reason::text, c.alert_id::int8, c.counter::int8, c.fence::int8,
    c.created::timestamptz, c.expires::timestamptz, c.sent::timestamptz, c.done::timestamptz,
    c.rss_before::int8, c.rss_after::int8, c.swap_before::int8, c.swap_after::int8, c.held_us::int8,
    c.detail::text, c.request_hash::bytea, c.params::text, coalesce(c.effects::text, '')::text, coalesce(c.verdict, '')::text,
    c.verify_next::timestamptz, c.history::text, c.approved::timestamptz, coalesce(c.approved_by, '')::text, c.warrant::bytea
