-- SPDX-License-Identifier: Apache-2.0
-- Snapshots without their rows, newest first: of host $1 (0: any), process $2 (0: any), kind $3 and
-- action $4 where they are not null; $5, $6 is the last one of the page before.
SELECT
    s.snapshot_id::int8, s.ts::timestamptz, s.host_id::int4, coalesce(h.name, '')::text,
    s.proc_id::int8, s.pid::int4, coalesce(nullif(p.service, ''), s.service)::text,
    coalesce(nullif(p.comm, ''), s.comm)::text, s.kind::text, s.reason::text,
    coalesce(s.cmd_id::text, '')::text, s.subject::text, s.totals::text, s.note::text
FROM snapshot s
LEFT JOIN host h ON h.host_id = s.host_id
LEFT JOIN process p ON p.host_id = s.host_id AND p.proc_id = s.proc_id
WHERE ($1::int4 = 0 OR s.host_id = $1::int4) AND ($2::int8 = 0 OR s.proc_id = $2::int8)
  AND ($3::text IS NULL OR s.kind = $3::text) AND ($4::text IS NULL OR s.cmd_id = $4::text::uuid)
  AND ($5::timestamptz IS NULL OR (s.ts, s.snapshot_id) < ($5::timestamptz, $6::int8))
ORDER BY s.ts DESC, s.snapshot_id DESC
LIMIT $7::int4
