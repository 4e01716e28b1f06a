-- SPDX-License-Identifier: Apache-2.0
-- The last column: no mail of it is in the table, nor can it have been cleaned away.
SELECT
    a.alert_id::int8, a.key::text, a.rule::text, coalesce(a.host_id, 0)::int4,
    coalesce((SELECT h.name FROM host h WHERE h.host_id = a.host_id), '')::text,
    a.subject::text, coalesce(a.proc_id, 0)::int8, a.service::text, a.level::text, a.state::text,
    a.opened::timestamptz, a.resolved::timestamptz, a.acked::timestamptz, a.acked_by::text,
    a.first_value::float8, a.peak_value::float8, a.last_value::float8, a.resolved_value::float8,
    a.title::text, a.doc::text,
    (a.opened > now() - interval '1 day' AND NOT EXISTS (SELECT FROM mail m WHERE m.alert_id = a.alert_id))::bool
FROM alert a
WHERE ($1::text IS NULL OR a.state = $1::text)
  AND ($2::int4 = 0 OR a.host_id = $2::int4)
  AND ($3::int8 = 0 OR a.alert_id < $3::int8)
ORDER BY a.alert_id DESC
LIMIT $4::int4
