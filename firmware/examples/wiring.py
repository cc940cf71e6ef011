"""Draws the labs' wiring.svg: python firmware/examples/wiring.py. One row is one wire."""

from pathlib import Path

HERE = Path(__file__).parent
FRAM = ("SPI FRAM (MB85RS, FM25, CY15)", [
    ("GP2", 4, "SCK"), ("GP3", 5, "MOSI / SI"), ("GP4", 6, "MISO / SO"),
    ("GP5", 7, "CS, and 10 kΩ from CS to 3V3"), ("3V3", 36, "VCC, WP, HOLD"), ("GND", 8, "GND"),
])  # fmt: skip
POWER = ("capacitor and supply supervisor", [
    ("VSYS", 39, "capacitor +, harvester through a Schottky diode"),
    ("3V3_EN", 37, "supervisor's output: on near 5 V, off near 1.8 V"),
    ("GND", 38, "capacitor -, supervisor's GND"),
])  # fmt: skip
UART = ("serial adapter, 3.3 V (no power wire)", [
    ("GP0", 1, "RX"), ("GP1", 2, "TX"), ("GND", 3, "GND"),
])  # fmt: skip
MICROPHONE = ("MAX9814 microphone amplifier", [
    ("GP26", 31, "OUT"), ("3V3", 36, "VDD"), ("AGND", 33, "GND"),
])  # fmt: skip
IMU = ("MPU-6050 breakout (GY-521)", [
    ("GP20", 26, "SDA"), ("GP21", 27, "SCL"), ("3V3", 36, "VCC"), ("GND", 28, "GND"),
])  # fmt: skip
LABS = {
    "digits": [FRAM, POWER, UART],
    "sounds": [MICROPHONE],
    "gestures": [IMU, FRAM],
    "sensor_node": [FRAM, POWER],
}
COLOURS = {"3V3": "#c0392b", "VSYS": "#c0392b", "GND": "#333333", "AGND": "#333333"}
SIGNALS = ("#2471a3", "#1e8449", "#b9770e", "#7d3c98")
ROW, GAP, LEFT, RIGHT, WIDTH = 26, 44, 210, 400, 860


def text(x, y, words, anchor="start", weight="normal"):
    return (f'<text x="{x}" y="{y + 5}" text-anchor="{anchor}" font-weight="{weight}">'
            f"{words}</text>")  # fmt: skip


def box(x, y, width, height):
    return (f'<rect x="{x}" y="{y}" width="{width}" height="{height}" rx="8" fill="#f4f6f7"'
            ' stroke="#566573" stroke-width="1.5"/>')  # fmt: skip


def wire(y, colour):
    ends = f'<circle cx="{LEFT}" cy="{y}" r="4"/><circle cx="{RIGHT}" cy="{y}" r="4"/>'
    line = f'<path d="M{LEFT} {y}H{RIGHT}" stroke="{colour}" stroke-width="3"/>'
    return f'<g fill="{colour}">{line}{ends}</g>'


def part(y, name, wires, number):
    """The elements of one part, and its height."""
    height = ROW * len(wires) + 36
    made = [box(RIGHT, y, WIDTH - RIGHT - 10, height), text(RIGHT + 14, y + 18, name, weight="bold")]
    for row, (pin, pad, there) in enumerate(wires):
        at = y + 46 + ROW * row
        colour = COLOURS.get(pin) or SIGNALS[number % len(SIGNALS)]
        number += pin not in COLOURS
        made += [wire(at, colour), text(LEFT - 12, at, f"{pin}, pin {pad}", "end"),
                 text(RIGHT + 14, at, there)]  # fmt: skip
    return made, height, number


def picture(parts):
    """An SVG of the Pico on the left and the parts on the right."""
    made, y, number = [], 10, 0
    for name, wires in parts:
        more, height, number = part(y, name, wires, number)
        made += more
        y += height + GAP - ROW
    total = y - GAP + ROW
    pico = [box(10, 10, LEFT - 10, total - 10),
            text(24, 28, "Raspberry Pi Pico", weight="bold")]  # fmt: skip
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {total + 10}"'
        ' font-family="sans-serif" font-size="15" fill="#1b2631">',
        f'<rect width="{WIDTH}" height="{total + 10}" fill="white"/>', *pico, *made, "</svg>", "",
    ])  # fmt: skip


if __name__ == "__main__":
    for lab, parts in LABS.items():
        (HERE / lab / "wiring.svg").write_text(picture(parts), "utf-8")
