"""The shapes of well-known scientific workflows, of any size: for each task the tasks that it needs.

They follow the published descriptions of the applications: Montage (mosaics of the sky), Epigenomics (sequencing),
CyberShake (earthquakes), 1000Genome (mutations), BLAST (sequence search) and SRA Search (alignment).
"""

from __future__ import annotations

from typing import Any

Needs = dict[str, list[str]]


def montage(images: int) -> Needs:
    """Images are projected, compared where they overlap, and corrected by one model of all differences."""
    needs: Needs = {f"project_{i}": [] for i in range(images)}
    overlaps = [(i, i + d) for d in (1, 2, 5) for i in range(images - d)]
    needs |= {f"diff_{a}_{b}": [f"project_{a}", f"project_{b}"] for a, b in overlaps}
    needs["concat"] = [f"diff_{a}_{b}" for a, b in overlaps]
    needs["model"] = ["concat"]
    needs |= {f"background_{i}": ["model", f"project_{i}"] for i in range(images)}
    needs["table"] = [f"background_{i}" for i in range(images)]
    needs["add"] = ["table", *(f"background_{i}" for i in range(images))]
    return needs | {"shrink": ["add"], "view": ["shrink"]}


def epigenomics(lanes: int, chunks: int) -> Needs:
    """Pipelines of four tasks for each chunk of a lane, merged by lane and then altogether."""
    needs: Needs = {}
    for lane in range(lanes):
        needs[f"split_{lane}"] = []
        for chunk in range(chunks):
            before = f"split_{lane}"
            for task in ("filter", "convert", "pack", "map"):
                needs[f"{task}_{lane}_{chunk}"] = [before]
                before = f"{task}_{lane}_{chunk}"
        needs[f"merge_{lane}"] = [f"map_{lane}_{chunk}" for chunk in range(chunks)]
    needs["merge"] = [f"merge_{lane}" for lane in range(lanes)]
    return needs | {"index": ["merge"], "pileup": ["index"]}


def cybershake(sites: int, ruptures: int) -> Needs:
    """A seismogram and its peak for each rupture, from two tensors of the site; all of them are archived."""
    needs: Needs = {}
    pairs = [(site, rupture) for site in range(sites) for rupture in range(ruptures)]
    needs |= {f"tensor_{axis}_{site}": [] for site in range(sites) for axis in "xy"}
    needs |= {f"seismogram_{s}_{r}": [f"tensor_x_{s}", f"tensor_y_{s}"] for s, r in pairs}
    needs |= {f"peak_{s}_{r}": [f"seismogram_{s}_{r}"] for s, r in pairs}
    needs["zip_seismograms"] = [f"seismogram_{s}_{r}" for s, r in pairs]
    needs["zip_peaks"] = [f"peak_{s}_{r}" for s, r in pairs]
    return needs


def genome(chromosomes: int, individuals: int, populations: int = 7) -> Needs:
    """Independent parts, one for each chromosome, that share nothing but their end."""
    needs: Needs = {}
    for c in range(chromosomes):
        needs |= {f"individuals_{c}_{i}": [] for i in range(individuals)}
        needs[f"merge_{c}"] = [f"individuals_{c}_{i}" for i in range(individuals)]
        needs[f"sift_{c}"] = []
        for p in range(populations):
            needs |= {f"{task}_{c}_{p}": [f"merge_{c}", f"sift_{c}"] for task in ("mutations", "frequency")}
    return needs


def blast(parts: int) -> Needs:
    """One wide fork, with two joins that wait for the same tasks."""
    needs: Needs = {"split": []}
    needs |= {f"blast_{i}": ["split"] for i in range(parts)}
    found = [f"blast_{i}" for i in range(parts)]
    return needs | {"cat_found": found, "cat_errors": list(found)}


def sra_search(samples: int, fan: int = 5) -> Needs:
    """An index that all alignments need, and a tree of merges."""
    needs: Needs = {"index": []}
    needs |= {f"dump_{i}": [] for i in range(samples)}
    needs |= {f"align_{i}": [f"dump_{i}", "index"] for i in range(samples)}
    level = [f"align_{i}" for i in range(samples)]
    while len(level) > 1:
        groups = [level[i : i + fan] for i in range(0, len(level), fan)]
        level = [f"merge_{len(needs) + i}" for i in range(len(groups))]
        needs |= dict(zip(level, groups, strict=True))
    return needs


def definition(needs: Needs, *, tool: str) -> dict[str, Any]:
    """The graph: a task leads to those that need it, and joins all that it needs. `tool` is given what it needs."""
    leads_to: Needs = {task: [] for task in needs}
    for task, needed in needs.items():
        for one in needed:
            leads_to[one].append(task)
    nodes: dict[str, Any] = {"start": {"next": [task for task, needed in needs.items() if not needed]}}
    for task, needed in needs.items():
        nodes[task] = {"tool": tool, "inputs": {"needs": needed}, "next": leads_to[task] or "end"}
        if len(needed) > 1:
            nodes[task]["join"] = "all"
    state = {"defaults": {"log": []}, "reducers": {"log": "append"}}
    return {"name": "workflow", "start_node": "start", "nodes": nodes, "state": state}


def depths(needs: Needs) -> dict[str, int]:
    """How many tasks the longest chain has that ends with a task. A task comes after those that it needs."""
    found: dict[str, int] = {}
    for task, needed in needs.items():
        found[task] = 1 + max((found[one] for one in needed), default=0)
    return found
