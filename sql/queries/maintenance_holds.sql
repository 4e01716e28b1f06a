-- SPDX-License-Identifier: Apache-2.0
-- What covers a process now, as mh_maintenance has it.
SELECT maintenance_id::int8, until::timestamptz, created_by::text, reason::text
  FROM mh_maintenance($1::int4, $2::int8, $3::text, $4::timestamptz)
