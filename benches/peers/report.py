"""Writes the table and the chart."""

import html
import os

COLOURS = {"vf": "#d9480f", "ffmpeg": "#495057", "OpenCV": "#1971c2", "PyAV": "#2f9e44", "decord": "#9c36b5",
           "torchcodec": "#e8590c"}


def table(results, facts):
    lines = [
        f"{facts}.",
        "",
        "A ratio (`vf` / peer) below 1 means that `vf` needs less. Peak memory is the sum over all processes.",
        "",
        "| request | pictures | tool | wall, s | CPU, s | peak, MiB | wall, vf / peer | CPU, vf / peer | peak, vf / peer |",
        "|---|--:|---|--:|--:|--:|--:|--:|--:|",
    ]
    for case, count, tools in results:
        asked = f"{case.name} (`{case.clip}`) | {count}"
        for tool, (costs, ratios, note) in tools.items():
            name = f"{tool} ({note})" if note else tool
            cells = [f"{costs[0]:.2f}", f"{costs[1]:.2f}", f"{costs[2]:.0f}"]
            cells += ["" if tool == "vf" else f"{ratio:.2f}" for ratio in ratios]
            lines.append(f"| {asked} | {name} | " + " | ".join(cells) + " |")
            asked = " | "
    return "\n".join(lines) + "\n"


def chart(results, facts):
    """Returns a chart with bars of wall time, relative to the slowest tool of each case."""
    left, width, bar, gap = 300, 560, 13, 22
    parts, y = [], 46
    for case, _, tools in results:
        # The simplest command of each tool.
        shown = {tool: costs[0] for tool, (costs, _, _) in tools.items() if "," not in tool}
        slowest = max(shown.values())
        middle = y + bar * len(shown) / 2 + 4
        parts.append(f'<text x="{left - 12}" y="{middle:.0f}" text-anchor="end">{html.escape(case.name)}</text>')
        for tool, seconds in shown.items():
            colour = COLOURS[tool.split()[0]]
            length = max(2, seconds / slowest * (width - 160))
            weight = ' font-weight="bold"' if tool == "vf" else ""
            parts.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="{bar - 3}" fill="{colour}"/>')
            times = f", {seconds / shown['vf']:.1f}×" if tool != "vf" else ""
            parts.append(f'<text x="{left + length + 6:.1f}" y="{y + 9}" font-size="10"{weight}>'
                         f"{html.escape(tool)} {seconds:.2f} s{times}</text>")
            y += bar
        y += gap
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + width} {y + 14}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="#212529">\n'
            f'<rect width="100%" height="100%" fill="#ffffff"/>\n'
            f'<text x="{left}" y="26" font-size="15" font-weight="bold">Seconds for the same frames: shorter is better</text>\n'
            + "\n".join(parts)
            + f'\n<text x="12" y="{y + 4}" font-size="9" fill="#868e96">{html.escape(facts)}</text>\n</svg>\n')


def write(results, facts, folder):
    text = table(results, facts)
    print(text)
    for name, content in [("peers.md", text), ("peers.svg", chart(results, facts))]:
        path = os.path.join(folder, name)
        with open(path, "w") as file:
            file.write(content)
        print(path)
