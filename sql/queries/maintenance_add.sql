-- SPDX-License-Identifier: Apache-2.0
-- Nothing where as many as may be ($8) are to come or under way. What is over for a year is forgotten: the audit log has it.
WITH forgotten AS (
    DELETE FROM maintenance WHERE until < $6::timestamptz - interval '1 year'
)
INSERT INTO maintenance AS m (host, service, starts, until, reason, created, created_by)
SELECT $1::text, $2::text, $3::timestamptz, $4::timestamptz, $5::text, $6::timestamptz, $7::text
 WHERE (SELECT count(*) FROM maintenance AS o WHERE o.ended IS NULL AND o.until > $6::timestamptz) < $8::int4
RETURNING m.maintenance_id::int8, m.host::text, m.service::text, m.starts::timestamptz, m.until::timestamptz, m.reason::text,
          m.created::timestamptz, m.created_by::text, m.ended::timestamptz, coalesce(m.ended_by, '')::text
