-- SPDX-License-Identifier: Apache-2.0
-- The newest first; $1: only what is to come or under way.
SELECT m.maintenance_id::int8, m.host::text, m.service::text, m.starts::timestamptz, m.until::timestamptz, m.reason::text,
       m.created::timestamptz, m.created_by::text, m.ended::timestamptz, coalesce(m.ended_by, '')::text
  FROM maintenance AS m
 WHERE (NOT $1::bool OR (m.ended IS NULL AND m.until > $2::timestamptz))
   AND ($3::int8 = 0 OR m.maintenance_id < $3::int8)
 ORDER BY m.maintenance_id DESC
 LIMIT $4::int4
