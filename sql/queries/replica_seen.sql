-- SPDX-License-Identifier: Apache-2.0
-- On the replica: the youngest sign of life of ours ($1) that it has. No row: it is of another database.
SELECT seen::timestamptz FROM collector WHERE collector_id = $1::int2 AND uuid = $2::uuid
