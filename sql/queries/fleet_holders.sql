-- SPDX-License-Identifier: Apache-2.0
-- The hosts as all collectors know them, and who has each agent's connection: a collector that was not
-- seen for $1 microseconds has none.
SELECT h.host_id::int4, h.uuid::uuid, h.name::text, coalesce(c.collector_id, -1)::int4,
       coalesce(c.name, '')::text, h.last_seen::timestamptz,
       coalesce((h.info ->> 'act')::bool, false)::bool
  FROM host AS h
  LEFT JOIN collector AS c ON c.collector_id = h.holder
       AND c.seen > clock_timestamp() - $1::int8 * interval '1 microsecond'
 WHERE h.revoked IS NULL
