-- SPDX-License-Identifier: Apache-2.0
-- Without a body it waits for a second person.
INSERT INTO command AS c (host_id, cmd_id, action, state, dry_run, proc_id, pid, actor, reason, alert_id, counter, fence,
                          created, expires, body, signature, idempotency_key, request_hash, params, history, warrant)
VALUES ($1::int4, $2::uuid, $3::text, CASE WHEN $14::bytea IS NULL THEN 'waiting_approval' ELSE 'queued' END, $4::bool, $5::int8, $6::int4, $7::text, $8::text, $9::int8, $10::int8,
        $11::int8, $12::timestamptz, $13::timestamptz, $14::bytea, $15::bytea, $16::text, $17::bytea, $18::jsonb,
        mh_action_history($1::int4, $3::text, $5::int8), $19::bytea)
RETURNING
    c.host_id::int4, c.cmd_id::uuid, c.action::text, c.state::text, c.dry_run::bool, c.proc_id::int8, c.pid::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = c.host_id), '')::text,
    coalesce((SELECT p.comm FROM process p WHERE p.host_id = c.host_id AND p.proc_id = c.proc_id), '')::text,
    c.actor::text, c.reason::text, c.alert_id::int8, c.counter::int8, c.fence::int8,
    c.created::timestamptz, c.expires::timestamptz, c.sent::timestamptz, c.done::timestamptz,
    c.rss_before::int8, c.rss_after::int8, c.swap_before::int8, c.swap_after::int8, c.held_us::int8,
    c.detail::text, c.request_hash::bytea, c.params::text, coalesce(c.effects::text, '')::text, coalesce(c.verdict, '')::text,
    c.verify_next::timestamptz, c.history::text, c.approved::timestamptz, coalesce(c.approved_by, '')::text, c.warrant::bytea
