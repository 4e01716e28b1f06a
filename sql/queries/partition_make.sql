SELECT mh_make_leaf($1::text, $2::timestamptz, $3::timestamptz)::text
