SELECT (to_regclass('meta') IS NOT NULL)::bool, (to_regclass('process') IS NOT NULL)::bool
