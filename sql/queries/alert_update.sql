-- SPDX-License-Identifier: Apache-2.0
UPDATE alert AS a
SET level = coalesce($2::text, a.level), peak_value = coalesce($3::float8, a.peak_value),
    last_value = coalesce($4::float8, a.last_value), title = coalesce($5::text, a.title),
    doc = coalesce($6::jsonb, a.doc), fence = $7::int8
WHERE a.alert_id = $1::int8 AND a.state = 'firing' AND mh_fenced($7::int8)
RETURNING
    a.alert_id::int8, a.key::text, a.rule::text, coalesce(a.host_id, 0)::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = a.host_id), '')::text,
    a.subject::text, coalesce(a.proc_id, 0)::int8, a.service::text, a.level::text, a.state::text,
    a.opened::timestamptz, a.resolved::timestamptz, a.acked::timestamptz, a.acked_by::text,
    a.first_value::float8, a.peak_value::float8, a.last_value::float8, a.resolved_value::float8,
    a.title::text, a.doc::text
