// Draws the page of a sweep from DATA: columns of the points, and details of some of them.
"use strict";
const byId = (name) => document.getElementById(name);
const DATA = JSON.parse(byId("data").textContent); // a browser reads megabytes of JSON faster than the same as a program
const count = DATA.count;
const columns = Object.fromEntries(Object.entries(DATA.columns).map(([name, list]) => [name, list.length === count ? list : Array(count).fill(list[0])]));
const all = Array.from({ length: count }, (_, row) => row);
const config = { responsive: true, displaylogo: false };
const layout = (more) => ({ margin: { l: 70, r: 20, t: 20, b: 50 }, hovermode: "closest", ...more });
const value = (row, name) => columns[name][row];
const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const shown = (number) =>
  typeof number !== "number" ? number : Math.abs(number) >= 100 ? whole.format(number) : +number.toPrecision(4);
const MAX_LINES = 1000;
let rows = [];
let kept = [];
let chosen = null;

function fill(name, options, selected) {
  for (const option of options) byId(name).add(new Option(DATA.labels[option] || option, option, false, option === selected));
}

function frontOf(given, across, upward) {
  const sorted = given
    .filter((row) => value(row, across) !== null && value(row, upward) !== null && value(row, "within_limits") !== false)
    .sort((a, b) => value(a, across) - value(b, across) || value(a, upward) - value(b, upward));
  const front = [];
  for (const row of sorted)
    if (!front.length || value(row, upward) < value(front[front.length - 1], upward)) front.push(row);
  return front;
}

// Plotly takes for a text what has toString, so that one is made where the mouse is, not ten thousand when the page opens.
const hover = (row) => ({ toString: () => hoverText(row) });

function hoverText(row) {
  const lines = DATA.hover.filter((name) => value(row, name) !== null && value(row, name) !== "");
  return `<b>${value(row, "config")}</b><br>` + lines.map((name) => `${DATA.labels[name] || name}: ${shown(value(row, name))}`).join("<br>");
}

function front() {
  return frontOf(kept, byId("across").value, byId("upward").value);
}

function drawScatter() {
  const [across, upward] = [byId("across").value, byId("upward").value];
  const kind = byId("logarithmic").checked ? "log" : "linear";
  const best = front();
  const points = (list, more) => ({
    x: list.map((row) => value(row, across)), y: list.map((row) => value(row, upward)),
    text: list.map(hover), hoverinfo: "text", customdata: list, ...more,
  });
  Plotly.react("scatter", [
    points(kept, { type: "scattergl", mode: "markers", name: "points", marker: { size: 6, color: kept.map((row) => value(row, "utilization")), colorscale: "Viridis", cmin: 0, cmax: 1, colorbar: { title: { text: "busy" } } } }),
    points(best, { type: "scatter", mode: "lines+markers", name: "best", line: { color: "#d62728", shape: "hv" } }),
  ], layout({ xaxis: { type: kind, title: { text: DATA.labels[across] || across } }, yaxis: { type: kind, title: { text: DATA.labels[upward] || upward } }, showlegend: false }), config);
}

function drawChosen() {
  const target = byId("chosen");
  target.replaceChildren();
  if (chosen === null) return;
  const add = (tag, text) => target.appendChild(Object.assign(document.createElement(tag), { textContent: text }));
  add("p", value(chosen, "config") + ": " + DATA.hover.filter((name) => value(chosen, name) !== null && value(chosen, name) !== "").map((name) => `${DATA.labels[name] || name} ${shown(value(chosen, name))}`).join(", "));
  if (value(chosen, "changes")) add("p", "besides what was asked: " + value(chosen, "changes")).className = "note";
  const model = DATA.paths[value(chosen, "model")] || Object.values(DATA.paths).join(" ");
  add("pre", `tilewright sweep ${model} ${value(chosen, "options")} --latency ${value(chosen, "dram_latency_cycles")}\ntilewright generate ${value(chosen, "options")} -o build`);
}

function drawStalls() {
  const buckets = chosen === null ? undefined : DATA.details[chosen]?.buckets;
  const engines = Object.keys(buckets || {});
  const kinds = engines.length ? Object.keys(buckets[engines[0]]).filter((kind) => engines.some((engine) => buckets[engine][kind])) : [];
  const traces = kinds.map((kind) => ({ type: "bar", orientation: "h", name: kind.replaceAll("_", " "), y: engines, x: engines.map((engine) => buckets[engine][kind]) }));
  const title = engines.length ? "cycles" : "no details of this point are on the page";
  Plotly.react("stalls", traces, layout({ barmode: "stack", xaxis: { title: { text: title } }, yaxis: { autorange: "reversed" } }), config);
}

function drawRoofline() {
  const intensity = (row) => value(row, "macs") / (value(row, "bytes_loaded") + value(row, "bytes_stored"));
  const speed = (row) => value(row, "macs") / value(row, "cycles");
  const known = kept.filter((row) => value(row, "macs") && value(row, "bytes_loaded"));
  const traces = [{ type: "scattergl", mode: "markers", x: known.map(intensity), y: known.map(speed), text: known.map(hover), hoverinfo: "text", customdata: known, marker: { size: 6 } }];
  if (chosen !== null && known.length) {
    const peak = value(chosen, "rows") * value(chosen, "cols");
    const bus = value(chosen, "axi_data_bits") / 8;
    const [low, high] = [0.1, known.reduce((most, row) => Math.max(most, intensity(row)), peak / bus) * 4];
    traces.push({ type: "scatter", mode: "lines", x: [low, peak / bus, high], y: [low * bus, peak, peak], hoverinfo: "skip", line: { color: "#d62728" } });
    traces.push({ type: "scatter", mode: "markers", x: [intensity(chosen)], y: [speed(chosen)], hoverinfo: "skip", marker: { size: 12, color: "#d62728", symbol: "circle-open" } });
  }
  Plotly.react("roofline", traces, layout({ showlegend: false, xaxis: { type: "log", title: { text: "multiplications per DRAM byte" } }, yaxis: { type: "log", title: { text: "multiplications per cycle" } } }), config);
}

// The busy part of the array by layer: layers that run together, of which the last has the cycles, have one in common.
function busyByLayer(row) {
  const shares = new Map();
  let together = [];
  for (const layer of DATA.details[row].layers) {
    together.push(layer);
    if (layer.cycles === null) continue;
    const macs = together.reduce((sum, { macs }) => sum + macs, 0);
    const share = layer.cycles ? macs / (layer.cycles * value(row, "rows") * value(row, "cols")) : null;
    for (const { name } of together) shares.set(name, share);
    together = [];
  }
  return shares;
}

function drawLayers() {
  const best = front().filter((row) => DATA.details[row]?.layers.length);
  const shares = best.map(busyByLayer);
  const names = [...new Set(shares.flatMap((found) => [...found.keys()]))];
  Plotly.react("layers", best.length ? [{ type: "heatmap", x: best.map((row) => value(row, "config")), y: names.map((name, n) => `${n} ${name.slice(-24)}`), z: names.map((name) => shares.map((found) => found.get(name) ?? null)), zmin: 0, zmax: 1, colorscale: "Viridis" }] : [],
    layout({ margin: { l: 180, r: 20, t: 20, b: 110 }, yaxis: { autorange: "reversed" } }), config);
}

function drawAxes() {
  const varied = DATA.axes.filter((name) => rows.some((row) => value(row, name) !== null));
  const best = new Set(front());
  const step = Math.ceil(rows.length / MAX_LINES);
  const lines = rows.filter((row, n) => n % step === 0 || best.has(row));
  byId("sampled").textContent = lines.length < rows.length ? `; ${lines.length} of ${rows.length} points are drawn, the filter takes all` : "";
  const dimensions = varied.map((name) => ({ name, label: DATA.labels[name] || name, values: lines.map((row) => value(row, name)) }));
  Plotly.react("axes", [{ type: "parcoords", dimensions, line: { color: lines.map((row) => value(row, "utilization")), colorscale: "Viridis", cmin: 0, cmax: 1 } }], layout({ margin: { l: 70, r: 80, t: 60, b: 30 } }), config);
}

function filter() {
  const limits = byId("axes").data[0].dimensions
    .filter((axis) => axis.constraintrange)
    .map((axis) => [axis.name, Array.isArray(axis.constraintrange[0]) ? axis.constraintrange : [axis.constraintrange]]);
  const fits = (row) => limits.every(([name, ranges]) => ranges.some(([low, high]) => value(row, name) >= low && value(row, name) <= high));
  kept = rows.filter(fits);
  draw();
}

function draw() {
  if (chosen === null || !kept.includes(chosen)) chosen = front()[0] ?? null;
  drawScatter();
  drawChosen();
  setTimeout(() => {
    drawStalls();
    drawRoofline();
    drawLayers();
  });
}

function choose(event) {
  chosen = event.points[0].customdata;
  drawChosen();
  drawStalls();
  drawRoofline();
}

function begin() {
  rows = kept = all.filter((row) => value(row, "model") === byId("model").value && value(row, "cycles") !== null);
  chosen = null;
  draw();
  setTimeout(drawAxes);
}

fill("model", [...new Set(columns.model)]);
fill("across", DATA.measures, DATA.first[0]);
fill("upward", DATA.measures, DATA.first[1]);
byId("summary").textContent = DATA.summary;
byId("model").addEventListener("change", begin);
for (const name of ["across", "upward", "logarithmic"]) byId(name).addEventListener("change", () => { drawScatter(); drawLayers(); });
begin();
byId("scatter").on("plotly_click", choose);
document.body.dataset.milliseconds = Math.round(performance.now());
setTimeout(() => {
  byId("roofline").on("plotly_click", choose);
  byId("axes").on("plotly_restyle", filter);
});
