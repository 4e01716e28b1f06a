-- SPDX-License-Identifier: Apache-2.0
-- Names of types that have no number yet, or were not used today. Only those are written: an attempt
-- takes a number of the sequence even where the name is known.
INSERT INTO census_type AS t (name, used)
SELECT DISTINCT e.x->>0, current_date
  FROM unnest($1::text[]) AS v(types), jsonb_array_elements(v.types::jsonb) AS e(x)
 WHERE NOT EXISTS (SELECT 1 FROM census_type k WHERE k.name = e.x->>0 AND k.used >= current_date)
 ORDER BY 1
ON CONFLICT (name) DO UPDATE SET used = excluded.used
