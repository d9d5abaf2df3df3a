import pytest

from gateway.config.values import duration, duration_text, rate, size, size_text


@pytest.mark.parametrize(
    "text, seconds",
    [
        ("500ms", 0.5),
        ("700ms", 0.7),
        ("300s", 300.0),
        ("90m", 5400.0),
        ("1.5h", 5400.0),
        ("14d", 1_209_600.0),
        ("2w", 1_209_600.0),
    ],
)
def test_durations(text, seconds):
    assert duration(text) == seconds


@pytest.mark.parametrize(
    "text, count",
    [
        ("7B", 7),
        ("1kB", 1000),
        ("1KB", 1000),
        ("1MB", 10**6),
        ("512KiB", 2**19),
        ("20GiB", 20 * 2**30),
        ("1TiB", 2**40),
    ],
)
def test_sizes(text, count):
    assert size(text) == count


@pytest.mark.parametrize("text, a_second", [("100/s", 100.0), ("600/m", 10.0), ("1800/h", 0.5), ("0.5/s", 0.5)])
def test_rates(text, a_second):
    assert rate(text) == a_second


@pytest.mark.parametrize("read", [duration, size, rate])
@pytest.mark.parametrize(
    "text", ["", "5", "s", "-5s", "5 s", "5x", "5s\n", "1e3s", "٣s", "5/", 5, 5.0, True, None, ["5s"]]
)
def test_other_texts_are_refused(read, text):
    with pytest.raises(ValueError):
        read(text)


@pytest.mark.parametrize("text", ["14d", "90m", "2h", "45s", "0.5s"])
def test_a_duration_is_told_as_one_would_write_it(text):
    assert duration_text(duration(text)) == text


@pytest.mark.parametrize("text", ["25MiB", "3GiB", "10KiB", "1001B"])
def test_a_size_is_told_as_one_would_write_it(text):
    assert size_text(size(text)) == text
