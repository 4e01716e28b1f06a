-- SPDX-License-Identifier: Apache-2.0
-- The number that a command carries: a leader's own while it holds ($2 true), for a person's request
-- whatever holds now. No row: it does not hold any more.
SELECT coalesce((SELECT fence FROM lease WHERE name = 'leader'), 0)::int8
 WHERE NOT $2::bool OR mh_fenced($1::int8)
