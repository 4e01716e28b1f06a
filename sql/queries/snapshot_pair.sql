-- SPDX-License-Identifier: Apache-2.0
-- One snapshot and the one to compare it with: $2, or without that the one before it of the same process,
-- kind and subject. The newer first; one row where there is no other.
WITH a AS (SELECT * FROM snapshot WHERE snapshot_id = $1::int8 LIMIT 1), both_of AS (
    SELECT 0 AS place, a.* FROM a
     UNION ALL
    (SELECT 1, o.* FROM snapshot o, a
      WHERE $2::int8 IS NULL AND o.host_id = a.host_id AND o.proc_id = a.proc_id AND o.kind = a.kind
        AND o.subject = a.subject AND (o.ts, o.snapshot_id) < (a.ts, a.snapshot_id)
      ORDER BY o.ts DESC, o.snapshot_id DESC
      LIMIT 1)
     UNION ALL
    (SELECT 1, o.* FROM snapshot o WHERE o.snapshot_id = $2::int8 LIMIT 1)
)
SELECT
    s.snapshot_id::int8, s.ts::timestamptz, s.host_id::int4, coalesce(h.name, '')::text,
    s.proc_id::int8, s.pid::int4, coalesce(nullif(p.service, ''), s.service)::text,
    coalesce(nullif(p.comm, ''), s.comm)::text, s.kind::text, s.reason::text,
    coalesce(s.cmd_id::text, '')::text, s.subject::text, s.totals::text, s.note::text,
    s.rows::text
FROM both_of s
LEFT JOIN host h ON h.host_id = s.host_id
LEFT JOIN process p ON p.host_id = s.host_id AND p.proc_id = s.proc_id
ORDER BY s.place
