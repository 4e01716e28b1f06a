-- memherd schema 12: series of interpreters (host_chunk kind 3), which are told by themselves where a
-- process has more than one. obj_id is the process's id xor Python's number: the main one has 0.

CREATE FUNCTION series_interpreter(process int8, number int8, metric text,
                                   "from" timestamptz DEFAULT now() - interval '6 hours',
                                   "to" timestamptz DEFAULT now(), step interval DEFAULT NULL)
RETURNS TABLE (t timestamptz, value float8, low float8, high float8)
LANGUAGE plpgsql STABLE PARALLEL SAFE ROWS 1000 AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM metric AS x WHERE x.kind = 3 AND x.name = series_interpreter.metric) THEN
        RAISE EXCEPTION 'there is no metric ''%'' of an interpreter', metric
            USING ERRCODE = 'invalid_parameter_value', HINT = 'SELECT * FROM metric lists them.';
    END IF;
    RETURN QUERY
    SELECT s.*
      FROM mh_series(3, (SELECT h.host_id FROM host AS h,
                                LATERAL (SELECT FROM process AS p
                                          WHERE p.host_id = h.host_id AND p.proc_id = process) AS p
                          LIMIT 1), process # number, metric, "from", "to", step) AS s;
END $$;
