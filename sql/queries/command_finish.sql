-- SPDX-License-Identifier: Apache-2.0
-- A result that comes after its command was given up as expired, or was cancelled, is still the truth. Only some
-- actions give memory back: of the others it says nothing that there is as much as before.
UPDATE command AS c
SET state = CASE WHEN c.action NOT IN ('trim', 'restart', 'gc') AND $3::text = 'ineffective' THEN 'done' ELSE $3::text END,
    done = $4::timestamptz, rss_before = $5::int8, rss_after = $6::int8, swap_before = $7::int8,
    swap_after = $8::int8, held_us = $9::int8, detail = $10::text,
    verify_next = CASE WHEN NOT c.dry_run AND c.action IN ('trim', 'restart', 'gc') AND $3::text IN ('done', 'ineffective') AND $5::int8 > 0
                       THEN $11::timestamptz END
WHERE c.host_id = $1::int4 AND c.cmd_id = $2::uuid AND c.state IN ('queued', 'sent', 'running', 'expired', 'cancelled')
RETURNING
    c.host_id::int4, c.cmd_id::uuid, c.action::text, c.state::text, c.dry_run::bool, c.proc_id::int8, c.pid::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = c.host_id), '')::text,
    coalesce((SELECT p.comm FROM process p WHERE p.host_id = c.host_id AND p.proc_id = c.proc_id), '')::text,
    c.actor::text, c.reason::text, c.alert_id::int8, c.counter::int8, c.fence::int8,
    c.created::timestamptz, c.expires::timestamptz, c.sent::timestamptz, c.done::timestamptz,
    c.rss_before::int8, c.rss_after::int8, c.swap_before::int8, c.swap_after::int8, c.held_us::int8,
    c.detail::text, c.request_hash::bytea, c.params::text, coalesce(c.effects::text, '')::text, coalesce(c.verdict, '')::text,
    c.verify_next::timestamptz, c.history::text, c.approved::timestamptz, coalesce(c.approved_by, '')::text, c.warrant::bytea
