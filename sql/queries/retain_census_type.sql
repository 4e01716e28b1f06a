-- SPDX-License-Identifier: Apache-2.0
DELETE FROM census_type
WHERE type_id IN (SELECT type_id FROM census_type
                  WHERE used < ($1::timestamptz AT TIME ZONE 'UTC')::date LIMIT $2::int4)
