"""A worker's log for programs: every line about a job carries its uuid, and no other line does."""

from __future__ import annotations

import json

from plant import Plant


def test_lines_about_a_job_carry_its_uuid_also_those_that_do_not_name_it(plant: Plant) -> None:
    worker = plant.worker("one", log_format="json")
    plant.until_waiting("one")
    uuid = plant.submit(steps=3, seconds=0.2, end="SIGKILL")
    plant.until_state(uuid, "failed")
    assert worker.stop() == 0
    lines = [json.loads(line) for line in worker.log.splitlines()]
    assert {line["service"] for line in lines} == {"one"}
    told = [(line["message"], line.get("job")) for line in lines]
    crashed = [job for message, job in told if message.startswith("The model's process was killed")]
    assert len(crashed) >= 2
    assert set(crashed) == {uuid}
    assert next(job for message, job in told if message == "The engine is ready.") is None
    assert all(job == uuid for message, job in told if uuid in message)
