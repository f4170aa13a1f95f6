"""How a program that runs in another Python is asked again and again: a JSON list of arguments a line, and a
line of JSON for each. It imports nothing of this project, and nothing that is not everywhere."""
import json
import sys


def answer_lines(answer):
    """Answers every line of standard input by `answer(*arguments)`; an exception is an answer, too."""
    for line in sys.stdin:
        try:
            answered = answer(*json.loads(line))
        except Exception as error:  # whatever the engine throws is what is to be shown
            answered = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answered), flush=True)
