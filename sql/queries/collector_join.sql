-- SPDX-License-Identifier: Apache-2.0
SELECT mh_collector_join($1::uuid, $2::uuid, $3::text)::int2
