-- SPDX-License-Identifier: Apache-2.0
-- Before its time; nothing where it is over.
UPDATE maintenance AS m
   SET ended = $2::timestamptz, ended_by = $3::text
 WHERE m.maintenance_id = $1::int8 AND m.ended IS NULL AND m.until > $2::timestamptz
RETURNING m.maintenance_id::int8, m.host::text, m.service::text, m.starts::timestamptz, m.until::timestamptz, m.reason::text,
          m.created::timestamptz, m.created_by::text, m.ended::timestamptz, coalesce(m.ended_by, '')::text
