-- SPDX-License-Identifier: Apache-2.0
DELETE FROM rollup_day
WHERE (t0, shard) IN (SELECT t0, shard FROM rollup_day WHERE t0 < $1::timestamptz LIMIT $2::int4)
