-- SPDX-License-Identifier: Apache-2.0
SELECT
    s.snapshot_id::int8, s.ts::timestamptz, s.host_id::int4, coalesce(h.name, '')::text,
    s.proc_id::int8, s.pid::int4, coalesce(nullif(p.service, ''), s.service)::text,
    coalesce(nullif(p.comm, ''), s.comm)::text, s.kind::text, s.reason::text,
    coalesce(s.cmd_id::text, '')::text, s.subject::text, s.totals::text, s.note::text,
    s.rows::text
FROM snapshot s
LEFT JOIN host h ON h.host_id = s.host_id
LEFT JOIN process p ON p.host_id = s.host_id AND p.proc_id = s.proc_id
WHERE s.snapshot_id = $1::int8
LIMIT 1
