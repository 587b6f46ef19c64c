"""Reads the index.json of an Autobahn run and says whether the server conforms.

    autobahn-report.py INDEX_JSON CASES_EXPECTED

Status 1 when a case did not pass, when the close handshake of a case did not
pass, or when another number of cases ran than expected.
"""

import collections
import json
import sys

# NON-STRICT and INFORMATIONAL are Autobahn's own words for cases in which the
# RFC leaves room and either behavior is right.
PASSING = {"OK", "NON-STRICT", "INFORMATIONAL"}


def main(index_path, cases_expected):
    with open(index_path, encoding="utf-8") as file:
        agents = json.load(file)
    results = {case: result for cases in agents.values() for case, result in cases.items()}
    failures = [
        f"case {case}: {key} is {result[key]} (close code {result.get('remoteCloseCode')})"
        for case, result in sorted(results.items(), key=lambda item: case_number(item[0]))
        for key in ("behavior", "behaviorClose")
        if result[key] not in PASSING
    ]
    for key in ("behavior", "behaviorClose"):
        counts = collections.Counter(result[key] for result in results.values())
        print(f"{key}: " + ", ".join(f"{count} {name}" for name, count in counts.most_common()))
    print(f"Autobahn: {len(results)} cases, {len(failures)} failures")
    if len(results) != cases_expected:
        failures.append(f"{len(results)} cases ran, {cases_expected} were expected")
    for failure in failures:
        print(failure, file=sys.stderr)
    return 1 if failures else 0


def case_number(case):
    return [int(part) for part in case.split(".")]


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1], int(sys.argv[2])))
