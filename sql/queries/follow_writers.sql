-- SPDX-License-Identifier: Apache-2.0
-- The other collectors; and what they have sealed lately.
SELECT collector_id::int2, (seen > clock_timestamp() - interval '10 minutes')::bool
  FROM collector WHERE collector_id <> $1::int2
