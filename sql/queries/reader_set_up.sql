SELECT mh_reader()::text
