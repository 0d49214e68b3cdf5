"""Writes openai.json from a checkout of https://github.com/openai/CLIP: classes and templates of the paper's data sets.

    python3 make_label_sets.py path/to/CLIP

Of data/prompts.md and notebooks/Prompt_Engineering_for_ImageNet.ipynb only the lists are taken, as literals.
"""

import ast
import json
import re
import subprocess
import sys
from pathlib import Path

# The name at the command line, the one in prompts.md, and a word for people.
NAMES = {
    "birdsnap": "Birdsnap", "caltech101": "Caltech101", "cars": "StanfordCars", "cifar10": "CIFAR10",
    "cifar100": "CIFAR100", "clevr-counts": "CLEVRCounts", "country211": "Country211", "dtd": "DescribableTextures",
    "eurosat": "EuroSAT", "fer2013": "FacialEmotionRecognition2013", "fgvc-aircraft": "FGVCAircraft",
    "flowers102": "Flowers102", "food101": "Food101", "gtsrb": "GTSRB", "hateful-memes": "HatefulMemes",
    "kinetics700": "Kinetics700", "kitti": "KITTI", "mnist": "MNIST", "pcam": "PatchCamelyon", "pets": "OxfordPets",
    "resisc45": "RESISC45", "sst2": "SST2", "stl10": "STL10", "sun397": "SUN397", "ucf101": "UCF101",
    "voc2007": "PascalVOC2007",
}


def literals(code):
    """The lists that are assigned to names in Python code."""
    found = {}
    for node in ast.parse(code).body:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.List):
            found[node.targets[0].id] = ast.literal_eval(node.value)
    return found


def main():
    clip = Path(sys.argv[1])
    sets = []
    sections = re.split(r"^## ", (clip / "data/prompts.md").read_text("utf-8"), flags=re.MULTILINE)[1:]
    by_name = {section.split("\n")[0].strip(): section for section in sections}
    assert by_name.keys() == set(NAMES.values()), by_name.keys() ^ set(NAMES.values())
    for name, title in NAMES.items():
        lists = literals("\n".join(re.findall(r"```(?:bash)?\n(.*?)```", by_name[title], flags=re.DOTALL)))
        sets.append((name, title, lists["templates"], lists["classes"]))
    notebook = json.loads((clip / "notebooks/Prompt_Engineering_for_ImageNet.ipynb").read_text("utf-8"))
    lists = {}
    for cell in notebook["cells"]:
        code = "".join(cell["source"])
        if code.startswith(("imagenet_classes =", "imagenet_templates =")):
            lists |= literals(code)
    sets.append(("imagenet", "ImageNet", lists["imagenet_templates"], lists["imagenet_classes"]))
    commit = subprocess.run(["git", "-C", clip, "rev-parse", "HEAD"], check=True, capture_output=True, text=True)
    document = {
        "source": f"https://github.com/openai/CLIP, commit {commit.stdout.strip()}: data/prompts.md and "
        "notebooks/Prompt_Engineering_for_ImageNet.ipynb",
        "licence": "MIT, Copyright (c) 2021 OpenAI",
        "sets": [
            {
                "name": name,
                "title": title,
                "templates": templates,
                # A class may have several names, which count alike.
                "classes": [[names] if isinstance(names, str) else names for names in classes],
            }
            for name, title, templates, classes in sorted(sets)
        ],
    }
    for entry in document["sets"]:
        assert all("{}" in template for template in entry["templates"]), entry["name"]
    out = Path(__file__).with_name("openai.json")
    out.write_text(json.dumps(document, ensure_ascii=False, separators=(",", ":")) + "\n", "utf-8")


main()
