-- SPDX-License-Identifier: Apache-2.0
-- A clean stop: the next one need not wait.
UPDATE lease SET expires = '-infinity'
 WHERE name = 'leader' AND holder = $1::int2::text AND fence = $2::int8
