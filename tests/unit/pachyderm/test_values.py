from pdk.pachyderm.values import JobState, ProcessStats


def test_the_figures_of_tries_add_up():
    first, second = ProcessStats(1.0, 2.0, 3.0, 4, 5), ProcessStats(0.5, 0.5, 0.5, 1, 1)
    assert first + second == ProcessStats(1.5, 2.5, 3.5, 5, 6)


def test_a_job_has_ended_in_four_states():
    ended = {state.name for state in JobState if state.terminal}
    assert ended == {"JOB_SUCCESS", "JOB_FAILURE", "JOB_KILLED", "JOB_UNRUNNABLE"}
