-- SPDX-License-Identifier: Apache-2.0
-- What was told of a process's collector, newest first.
SELECT e.ts::timestamptz, e.doc::text
FROM event e
WHERE e.proc_id = $1::int8 AND e.kind = 'gc' AND e.ts >= $2::timestamptz
ORDER BY e.ts DESC
LIMIT $3::int4
