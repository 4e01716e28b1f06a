-- SPDX-License-Identifier: Apache-2.0
SELECT actor::text, action::text, opened::timestamptz, until::timestamptz, results::int4, closed::timestamptz,
       coalesce(closed_by, '')::text
  FROM breaker
 ORDER BY opened DESC
 LIMIT $1::int4
