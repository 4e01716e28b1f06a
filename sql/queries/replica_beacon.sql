-- SPDX-License-Identifier: Apache-2.0
-- On the primary: a sign of life of ours ($2 our process) that a replica is looked for by. $1 us.
UPDATE collector SET seen = clock_timestamp()
 WHERE collector_id = $1::int2 AND boot = $2::uuid
RETURNING seen::timestamptz
