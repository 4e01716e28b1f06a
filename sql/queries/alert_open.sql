-- SPDX-License-Identifier: Apache-2.0
-- Opening what fires already changes nothing but says which row it is.
INSERT INTO alert AS a (key, rule, host_id, subject, proc_id, service, level, state, opened, first_value, peak_value,
                        last_value, title, doc, fence)
SELECT $1::text, $2::text, $3::int4, $4::text, $5::int8, $6::text, $7::text, 'firing', $8::timestamptz, $9::float8,
       $10::float8, $11::float8, $12::text, $13::jsonb, $14::int8
 WHERE mh_fenced($14::int8)
ON CONFLICT (key) WHERE state = 'firing' DO UPDATE SET last_value = excluded.last_value, fence = excluded.fence
RETURNING
    a.alert_id::int8, a.key::text, a.rule::text, coalesce(a.host_id, 0)::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = a.host_id), '')::text,
    a.subject::text, coalesce(a.proc_id, 0)::int8, a.service::text, a.level::text, a.state::text,
    a.opened::timestamptz, a.resolved::timestamptz, a.acked::timestamptz, a.acked_by::text,
    a.first_value::float8, a.peak_value::float8, a.last_value::float8, a.resolved_value::float8,
    a.title::text, a.doc::text
