"""psycopg 3 against a running pipeline: types, parameters, prepared statements, COPY, errors, the epoch of an answer."""

import datetime

import psycopg

with psycopg.connect("user=dealerflow dbname=dealerflow", autocommit=True) as connection:
    with connection.cursor() as cursor:
        cursor.execute("select dealer_id, lead_id, created_at, engagement, credit_score, is_outlier from leads where created_at is not null limit 5")
        rows = cursor.fetchall()
        assert len(rows) == 5, rows
        assert isinstance(rows[0][2], datetime.datetime) and rows[0][2].tzinfo is not None, rows[0]
        dealer, lead = rows[0][:2]
        for _ in range(8):  # The driver prepares a statement once it was asked five times.
            cursor.execute("select lead_id from leads where dealer_id = %s and lead_id = %s", (dealer, lead))
            assert cursor.fetchall() == [(lead,)]
        cursor.execute("select day, leads from daily_kpis where leads >= %s order by day limit 1", (1,))
        assert isinstance(cursor.fetchone()[0], datetime.date)
        for _ in range(8):
            cursor.execute("select lead_id from leads where dealer_id = any(%s) and lead_id = any(%s)", ([dealer, None], [lead, "it's, \"x\""]))
            assert cursor.fetchall() == [(lead,)]
        cursor.execute("select count(*) from daily_kpis where leads = any(%s) and not leads = any(%s)", ([1, 2, 3], []))
        assert cursor.fetchone()[0] > 0
        with cursor.copy("copy (select lead_id from leads) to stdout") as copy:
            copied = sum(1 for _ in copy.rows())
        cursor.execute("select count(*) from leads")
        assert cursor.fetchone()[0] >= copied > 0
        cursor.execute("select dealerflow_epoch()")
        epoch = cursor.fetchone()[0]
        assert int(connection.pgconn.parameter_status(b"dealerflow.epoch")) == epoch
        try:
            cursor.execute("select * from nowhere")
        except psycopg.errors.UndefinedTable:
            pass
        else:
            raise AssertionError("there is no table nowhere")
    with connection.transaction():
        assert connection.execute("select 1").fetchone() == (1,)
print("psycopg", psycopg.__version__)
