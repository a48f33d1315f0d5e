import time

from pdk.pachyderm.store.logs import LogFiles, LogRecord, read


def messages(path, offset=0):
    return [record.message for record, _ in read(path, offset)]


def test_lines_come_back_as_they_were_stored(tmp_path):
    files = LogFiles(tmp_path)
    log = files.open_job(("q", "p", "j"))
    record = LogRecord(time.time(), 'a "line"\twith \u20ac', "j", "d", user=True)
    log.append(record)
    log.close()
    ((stored, _),) = read(files.job_path(("q", "p", "j")))
    assert stored.message == record.message
    assert abs(stored.moment - record.moment) < 1e-5
    assert (stored.job_id, stored.datum_id, stored.user, stored.master) == ("j", "d", True, False)


def test_a_reader_goes_on_where_it_was_and_leaves_a_torn_line(tmp_path):
    files = LogFiles(tmp_path)
    log = files.open_job(("q", "p", "j"))
    log.append(LogRecord(1.0, "one", "j"))
    path = files.job_path(("q", "p", "j"))
    ((_, offset),) = read(path)
    with path.open("ab") as file:
        file.write(b'[2.0,0,"j","","tw')
    assert messages(path, offset) == []
    log.close()
    log = files.open_job(("q", "p", "j"))
    log.append(LogRecord(3.0, "three", "j"))
    log.close()
    assert messages(path, offset) == ["three"]
    assert messages(path) == ["one", "three"]


def test_a_full_log_says_so_once_and_keeps_worker_lines(tmp_path):
    log = LogFiles(tmp_path, max_job_bytes=2000).open_job(("q", "p", "j"))
    for number in range(200):
        log.append(LogRecord(1.0, f"line {number}", "j", user=True))
    log.append(LogRecord(1.0, "worker", "j"))
    log.close()
    stored = messages(log.path)
    assert len(stored) < 100
    assert stored[-1] == "worker"
    assert "dropped" in stored[-2]


def test_the_oldest_jobs_logs_go(tmp_path):
    files = LogFiles(tmp_path, keep_jobs=3)
    for number in range(5):
        files.open_job(("q", "p", f"j{number}")).close()
    files.append_master(("q", "p"), LogRecord(1.0, "master", master=True))
    files.open_job(("q", "p", "j5")).close()
    left = sorted(path.name for path in (tmp_path / "q/p").iterdir())
    assert len(left) == 4
    assert "j5.jsonl" in left
    assert "master.jsonl" in left


def test_the_master_file_starts_anew_and_keeps_one_predecessor(tmp_path, monkeypatch):
    monkeypatch.setattr("pdk.pachyderm.store.logs.MAX_MASTER_BYTES", 500)
    files = LogFiles(tmp_path)
    for number in range(30):
        files.append_master(("q", "p"), LogRecord(1.0, f"line {number}", master=True))
    old, new = files.master_paths(("q", "p"))
    assert old.stat().st_size < 700
    assert (messages(old) + messages(new))[-1] == "line 29"


def test_nothing_to_read_is_no_error(tmp_path):
    files = LogFiles(tmp_path)
    assert messages(files.job_path(("q", "p", "j"))) == []
    files.delete_job(("q", "p", "j"))
    files.delete_pipeline(("q", "p"))


def test_deleting_a_pipeline_takes_its_logs(tmp_path):
    files = LogFiles(tmp_path)
    files.open_job(("q", "p", "j")).close()
    files.delete_pipeline(("q", "p"))
    assert not (tmp_path / "q/p").exists()
