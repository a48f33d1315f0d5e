"""The routing table: hosts, atomic switches, counting in and out."""

import threading

from pdk.kserve.predictor.routes import Backend, Busy, ServiceRoute, ServiceRoutes

OLD, NEW = Backend("churn-predictor-00001", 1001, ("churn",)), Backend("churn-predictor-00002", 1002, ("churn",))


def route(*targets, name="churn", hosts=("churn.default.example.com", "churn.default")):
    return ServiceRoute("default", name, hosts, targets)


def test_host_is_found_in_any_case_with_port_and_trailing_dot():
    routes = ServiceRoutes()
    routes.set(route((OLD, 100)))
    for host in (
        "churn.default.example.com",
        "CHURN.default.Example.com:8080",
        "churn.default.example.com.",
        "churn.default",
    ):
        assert routes.by_host(host).name == "churn"
    assert routes.by_host("other.default.example.com") is None
    assert routes.known_hosts() == ["churn.default.example.com"]


def test_the_first_service_of_a_host_keeps_it_until_it_goes():
    routes = ServiceRoutes()
    routes.set(route(name="a", hosts=("a.x", "shared")))
    routes.set(route(name="b", hosts=("b.x", "shared")))
    assert routes.by_host("shared").name == "a"
    routes.remove("default/b")
    assert routes.by_host("shared").name == "a"
    routes.remove("default/a")
    assert routes.by_host("shared") is None


def test_requests_are_counted_by_process():
    routes = ServiceRoutes()
    routes.set(route((OLD, 100)))
    assert routes.acquire("default/churn") == OLD
    assert routes.acquire("default/churn") == OLD
    routes.set(route((NEW, 100)))
    assert routes.acquire("default/churn") == NEW
    assert routes.in_flight(OLD.revision, OLD.port) == 2
    assert routes.in_flight(OLD.revision, 9999) == 0
    routes.release(OLD)
    routes.release(OLD)
    assert routes.in_flight(OLD.revision, OLD.port) == 0
    assert routes.in_flight(NEW.revision, NEW.port) == 1


def test_a_route_without_revision_and_a_missing_one_differ():
    routes = ServiceRoutes()
    routes.set(route())
    assert isinstance(routes.acquire("default/churn"), ServiceRoute)
    assert routes.acquire("default/other") is None


def test_container_concurrency_is_a_limit():
    routes = ServiceRoutes()
    limited = Backend("churn-predictor-00001", 1001, ("churn",), max_in_flight=1)
    routes.set(route((limited, 100)))
    assert routes.acquire("default/churn") == limited
    assert routes.acquire("default/churn") == Busy("churn-predictor-00001")
    routes.release(limited)
    assert routes.acquire("default/churn") == limited


def test_traffic_is_shared_by_percent():
    points = iter([0.0, 0.19, 0.2, 0.99])
    routes = ServiceRoutes(choose=lambda: next(points))
    routes.set(route((NEW, 20), (OLD, 80)))
    chosen = [routes.acquire("default/churn") for _ in range(4)]
    assert chosen == [NEW, NEW, OLD, OLD]


def test_after_a_switch_the_old_revision_only_drains():
    routes = ServiceRoutes()
    routes.set(route((OLD, 100)))
    stop, seen = threading.Event(), []

    def work():
        while not stop.is_set():
            backend = routes.acquire("default/churn")
            seen.append(backend)
            routes.release(backend)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    while len(seen) < 500:
        pass
    routes.set(route((NEW, 100)))
    left = [routes.in_flight(OLD.revision, OLD.port) for _ in range(1000)]
    stop.set()
    for thread in threads:
        thread.join()
    assert left == sorted(left, reverse=True)
    assert routes.in_flight(OLD.revision, OLD.port) == routes.in_flight(NEW.revision, NEW.port) == 0
