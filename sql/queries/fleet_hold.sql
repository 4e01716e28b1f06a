-- SPDX-License-Identifier: Apache-2.0
-- The agent is connected to us ($3), or no longer.
UPDATE host SET holder = CASE WHEN $3::bool THEN $2::int2 END
 WHERE host_id = $1::int4 AND ($3::bool OR holder = $2::int2)
