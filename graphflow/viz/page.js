"use strict";
(() => {
  // --- what is known ------------------------------------------------------------------------------------------------

  const data = JSON.parse(document.getElementById("data").textContent);
  const nodes = new Map(data.rows.map((row) => {
    const node = Object.fromEntries(data.columns.map((name, at) => [name, at < data.shared ? data.texts[row[at]] : row[at]]));
    return [node.id, { ...node, users: [], pairs: new Set() }];
  }));
  for (const node of nodes.values()) {
    for (const number of new Set(node.inputs)) nodes.get(number)?.users.push(node.id);
    if (node.gradientOf !== null) pair(node.id, node.gradientOf);
  }
  for (const [number, gradient] of Object.entries(data.gradients)) pair(Number(number), gradient);

  function pair(one, other) {
    if (!nodes.has(one) || !nodes.has(other)) return;
    nodes.get(one).pairs.add(other);
    nodes.get(other).pairs.add(one);
  }

  // A view: its SVG element, the nodes of each box, and the boxes of each node.
  const views = data.views.map((view) => {
    const template = [...document.querySelectorAll("template")].find((each) => each.dataset.view === view.name);
    const nodesOf = new Map(view.keys.map((key) => [key, view.boxes[key] ?? [Number(key.slice(1))]]));
    const boxesOf = new Map();
    for (const [key, numbers] of nodesOf) {
      for (const number of numbers) boxesOf.set(number, [...(boxesOf.get(number) ?? []), key]);
    }
    return { ...view, template, nodesOf, boxesOf, svg: null, boxes: new Map(), edgesOf: new Map(), middles: new Map(), lit: [], links: null, home: null, window: null };
  });

  const $ = (id) => document.getElementById(id);
  const canvas = $("canvas"), panel = $("panel"), search = $("search"), results = $("results");
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  let view = null, chosen = null, found = [], marked = -1;

  function make(tag, text = "", properties = {}) {
    const element = Object.assign(document.createElement(tag), properties);
    if (text !== "") element.textContent = text;
    return element;
  }

  function say(text) { $("status").textContent = text; }

  // --- views --------------------------------------------------------------------------------------------------------

  function open(next) {
    if (next.svg === null) prepare(next);
    view = next;
    canvas.replaceChildren(view.svg);
    for (const button of $("views").children) button.setAttribute("aria-checked", String(button.dataset.view === view.name));
    if (view.window === null) begin(); else show(view.window);
    drawLegend();
    mark();
    light(null);
    if (chosen !== null) choose(chosen, { isQuiet: true });
  }

  function prepare(next) {
    next.svg = next.template.content.firstElementChild.cloneNode(true);
    const [x, y, width, height] = next.svg.getAttribute("viewBox").split(/[ ,]+/).map(Number);
    next.home = { x, y, width, height };
    next.links = document.createElementNS("http://www.w3.org/2000/svg", "g");
    next.links.setAttribute("class", "links");
    next.svg.querySelector(".graph").prepend(next.links);
    for (const box of next.svg.querySelectorAll(".node")) {
      next.boxes.set(box.dataset.key, box);
      box.setAttribute("tabindex", "-1");
      box.setAttribute("role", "button");
      box.setAttribute("aria-label", [...box.querySelectorAll("text")].map((line) => line.textContent).join(", "));
    }
    for (const edge of next.svg.querySelectorAll(".edge")) {
      for (const key of new Set([edge.dataset.tail, edge.dataset.head])) next.edgesOf.set(key, [...(next.edgesOf.get(key) ?? []), edge]);
    }
  }

  for (const each of views) {
    const button = make("button", each.name, { type: "button", title: `Show the view ${each.name} ( ${views.indexOf(each) + 1} )` });
    button.dataset.view = each.name;
    button.setAttribute("role", "radio");
    button.addEventListener("click", () => open(each));
    $("views").append(button);
  }
  $("views").hidden = views.length < 2;

  function drawLegend() {
    $("legend").replaceChildren(...view.legend.flatMap((entry) => entry.lines.map((line, at) => {
      const row = make("span"), hasSample = at === 0 && (entry.fill !== "" || entry.line !== "" || entry.isBold);
      row.append(...(hasSample ? [swatch(entry.fill, entry.line, entry.isBold)] : []), line);
      return row;
    })));
  }

  function swatch(fill, line, isBold) {
    const sample = make("span", "", { className: isBold ? "swatch bold" : "swatch" });
    sample.style.background = fill;
    if (line !== "") sample.style.borderColor = line;
    return sample;
  }

  // --- pan and zoom -------------------------------------------------------------------------------------------------

  function show(window) {
    view.window = window;
    view.svg.setAttribute("viewBox", `${window.x} ${window.y} ${window.width} ${window.height}`);
    view.svg.classList.toggle("far", scale() < 0.22);
  }

  /* Pixels on the screen for one unit of the picture. */
  function scale() {
    return Math.min(canvas.clientWidth / view.window.width, canvas.clientHeight / view.window.height);
  }

  function fit() {
    const margin = 16 * Math.max(view.home.width / canvas.clientWidth, view.home.height / canvas.clientHeight, 0.5);
    // A small picture is not blown up to fill the screen.
    const grow = Math.max(1, canvas.clientWidth / (view.home.width + 2 * margin) < 1.6 ? 1 : canvas.clientWidth / 1.6 / (view.home.width + 2 * margin));
    const width = (view.home.width + 2 * margin) * grow, height = (view.home.height + 2 * margin) * grow;
    show({ x: view.home.x + view.home.width / 2 - width / 2, y: view.home.y + view.home.height / 2 - height / 2, width, height });
  }

  /* All of a picture, or where that is too small to tell anything, its beginning. */
  function begin() {
    fit();
    const tall = canvas.clientHeight / (1.1 * view.home.height);
    if (scale() > 0.1 || tall < 2 * scale()) return;
    const width = canvas.clientWidth / tall, height = canvas.clientHeight / tall;
    show({ x: view.home.x - width / 50, y: view.home.y - 0.05 * view.home.height, width, height });
  }

  /* A point of the screen in units of the picture. */
  function place(x, y) {
    return new DOMPoint(x, y).matrixTransform(view.svg.getScreenCTM().inverse());
  }

  function zoom(factor, at = null) {
    const now = scale();
    const smallest = Math.min(now, 0.5 * Math.min(canvas.clientWidth / view.home.width, canvas.clientHeight / view.home.height));
    const wanted = Math.min(6, Math.max(smallest, now * factor)) / now;
    const { x, y, width, height } = view.window;
    const centre = at ?? { x: x + width / 2, y: y + height / 2 };
    show({ x: centre.x - (centre.x - x) / wanted, y: centre.y - (centre.y - y) / wanted, width: width / wanted, height: height / wanted });
  }

  function move(right, down) {
    show({ ...view.window, x: view.window.x - right / scale(), y: view.window.y - down / scale() });
  }

  /* Bring a box into sight, at a size that can be read. */
  function reveal(key) {
    const box = view.boxes.get(key);
    if (box === undefined) return;
    const centre = centreOf(box), now = scale(), wanted = Math.max(now, 0.8);
    const width = view.window.width * now / wanted, height = view.window.height * now / wanted;
    const target = { x: centre.x - width / 2, y: centre.y - height / 2, width, height };
    const start = view.window, began = performance.now(), shown = view;
    const isInside = now >= 0.45 && ["x", "y"].every((axis) => {
      const size = (axis === "x" ? canvas.clientWidth : canvas.clientHeight) / now;
      const middle = start[axis] + start[axis === "x" ? "width" : "height"] / 2;
      return Math.abs(centre[axis] - middle) < size * 0.42;
    });
    if (isInside) return;
    if (isCalm) { show(target); return; }
    const glide = (time) => {
      if (view !== shown) return;
      const part = Math.min(1, Math.max(0, (time - began) / 220)), eased = part * (2 - part);
      const between = (name) => start[name] + (target[name] - start[name]) * eased;
      show({ x: between("x"), y: between("y"), width: between("width"), height: between("height") });
      if (part < 1) requestAnimationFrame(glide);
    };
    requestAnimationFrame(glide);
  }

  /* The middle of a box in units of the picture. */
  function centreOf(box) {
    const { x, y, width, height } = box.getBBox();
    const inside = box.getCTM(), outside = view.svg.getCTM();
    const point = new DOMPoint(x + width / 2, y + height / 2).matrixTransform(inside);
    return outside === null ? point : point.matrixTransform(outside.inverse());
  }

  const touching = new Map();
  let dragged = 0;
  canvas.addEventListener("wheel", (event) => {
    event.preventDefault();
    const unit = event.deltaMode === 1 ? 20 : 1;
    zoom(Math.exp(-event.deltaY * unit * (event.ctrlKey ? 0.01 : 0.0016)), place(event.clientX, event.clientY));
  }, { passive: false });
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    touching.set(event.pointerId, { x: event.clientX, y: event.clientY });
    if (touching.size === 1) dragged = 0;
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = touching.get(event.pointerId);
    if (before === undefined) return;
    const now = { x: event.clientX, y: event.clientY };
    const other = [...touching].find(([number]) => number !== event.pointerId)?.[1];
    if (other === undefined) {
      dragged += Math.hypot(now.x - before.x, now.y - before.y);
      if (dragged > 4) {
        if (!canvas.hasPointerCapture(event.pointerId)) canvas.setPointerCapture(event.pointerId);
        canvas.classList.add("dragging");
        move(now.x - before.x, now.y - before.y);
      }
    } else {
      dragged = 99;
      const apart = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      zoom(apart(now) / apart(before), place((now.x + other.x) / 2, (now.y + other.y) / 2));
    }
    touching.set(event.pointerId, now);
  });
  for (const name of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(name, (event) => {
      touching.delete(event.pointerId);
      canvas.classList.remove("dragging");
    });
  }

  // --- hover, choose ------------------------------------------------------------------------------------------------

  function keyAt(event) {
    return event.target instanceof Element ? event.target.closest(".node")?.dataset.key ?? null : null;
  }

  /* The boxes that show the gradients of a box's nodes, or what these are the gradients of. */
  function pairsOf(key) {
    const keys = new Set(view.nodesOf.get(key).flatMap((number) => [...(nodes.get(number)?.pairs ?? [])]).flatMap((number) => view.boxesOf.get(number) ?? []));
    keys.delete(key);
    return [...keys];
  }

  function light(key) {
    for (const [element, name] of view.lit) element.classList.remove(name);
    view.lit = [];
    view.links.replaceChildren();
    if (key === null || !view.boxes.has(key)) return;
    const pairs = pairsOf(key).filter((each) => view.boxes.has(each));
    view.lit.push([view.boxes.get(key), "hot"]);
    for (const each of pairs) view.lit.push([view.boxes.get(each), "pair"]);
    for (const edge of view.edgesOf.get(key) ?? []) view.lit.push([edge, "near"]);
    if (pairs.length <= 12) drawLinks(key, pairs);
    for (const [element, name] of view.lit) element.classList.add(name);
  }

  function drawLinks(from, to) {
    const start = middle(from);
    for (const key of to) {
      const end = middle(key), path = document.createElementNS("http://www.w3.org/2000/svg", "path");
      const bend = Math.min(60, Math.hypot(end.x - start.x, end.y - start.y) / 5);
      path.setAttribute("d", `M${start.x},${start.y}Q${(start.x + end.x) / 2},${(start.y + end.y) / 2 - bend} ${end.x},${end.y}`);
      view.links.append(path);
    }
  }

  /* The middle of a box, measured once: asking makes the browser lay out the whole picture. */
  function middle(key) {
    if (!view.middles.has(key)) {
      const { x, y, width, height } = view.boxes.get(key).getBBox();
      view.middles.set(key, { x: x + width / 2, y: y + height / 2 });
    }
    return view.middles.get(key);
  }

  canvas.addEventListener("pointerover", (event) => { if (touching.size === 0) light(keyAt(event)); });
  canvas.addEventListener("pointerleave", () => light(null));
  canvas.addEventListener("click", (event) => {
    if (dragged > 4) return;
    const key = keyAt(event);
    if (key === null) unchoose(); else chooseBox(key);
  });

  function chooseBox(key) {
    const numbers = view.nodesOf.get(key);
    if (numbers.length === 0) return;
    choose(numbers.includes(chosen) ? chosen : numbers[0], { key });
  }

  function choose(number, { key = null, isQuiet = false } = {}) {
    const keys = view.boxesOf.get(number) ?? [];
    chosen = number;
    const at = key ?? keys.find((each) => view.boxes.has(each)) ?? null;
    for (const box of view.svg.querySelectorAll(".chosen")) box.classList.remove("chosen");
    for (const each of keys) view.boxes.get(each)?.classList.add("chosen");
    fillPanel(nodes.get(number), at);
    if (at !== null) { rove(at); if (!isQuiet || key === null) reveal(at); }
    if (!isQuiet) say(`${nodes.get(number).label}, ${nodes.get(number).type}`);
  }

  /* Choose a node that may be drawn in another view only. */
  function go(number) {
    if (!view.boxesOf.has(number)) {
      const other = views.find((each) => each.boxesOf.has(number));
      if (other !== undefined) open(other);
    }
    choose(number);
    light(view.boxesOf.get(number)?.[0] ?? null);
  }

  function unchoose() {
    chosen = null;
    overview();
    for (const box of view.svg.querySelectorAll(".chosen")) box.classList.remove("chosen");
  }

  // --- panel --------------------------------------------------------------------------------------------------------

  function fillPanel(node, key) {
    const close = make("button", "×", { className: "close", type: "button", title: "Close ( Esc )" });
    close.setAttribute("aria-label", "Close");
    close.addEventListener("click", unchoose);
    panel.replaceChildren(close, make("h2", node.label), make("div", node.type, { className: "type" }));
    const together = key === null ? [] : view.nodesOf.get(key);
    if (together.length > 1) panel.append(several(together, node, key));
    if (key === null) panel.append(make("p", "It is not drawn in this view."));
    panel.append(facts([
      ["op", node.attributes === "" ? node.op : `${node.op}(${node.attributes})`, "code"],
      ["role", node.role],
      ["step", node.step ?? ""],
      ["scope", node.scope],
      ["made at", node.origin, "code"],
      ["number", `%${node.id}`, "code"],
    ]));
    panel.append(make("h3", "Value"), valueOf(node));
    const gradients = [...node.pairs].sort((one, other) => one - other);
    addLinks(node.gradientOf === null ? "Gradient nodes" : "Belongs to", gradients);
    addLinks("Inputs", node.inputs);
    addLinks("Used by", node.users);
    panel.className = "";
    panel.scrollTop = 0;
  }

  /* What the panel shows while no node is selected. */
  function overview() {
    const all = [...nodes.values()], count = (role) => all.filter((node) => node.role === role).length;
    const roles = ["input", "parameter", "constant", "forward", "gradient"].map((role) => [role, count(role)]);
    const ops = new Map();
    for (const node of all) {
      if (node.role === "forward" || node.role === "gradient") ops.set(node.op, (ops.get(node.op) ?? 0) + 1);
    }
    const often = [...ops].sort((one, other) => other[1] - one[1]).slice(0, 12);
    const shown = (rows) => facts(rows.filter(([, number]) => number > 0).map(([name, number]) => [name, number.toLocaleString("en")]));
    panel.replaceChildren(
      make("h2", "The graph"), make("p", "Click a node for its type, value and line. Press ? for keys."),
      make("h3", "Nodes"), shown(roles), make("h3", "Operations"), shown(often),
    );
    panel.className = "overview";
  }

  function several(together, node, key) {
    const row = make("label", `${together.length} nodes`, { className: "several" });
    const select = make("select");
    for (const number of together) {
      const each = nodes.get(number);
      if (each === undefined) continue;
      const step = each.step === null ? "" : `step ${each.step}: `;
      select.append(make("option", `${step}%${number} ${each.label}`, { value: String(number), selected: number === node.id }));
    }
    select.addEventListener("change", () => {
      choose(Number(select.value), { key });
      panel.querySelector("select").focus();
    });
    row.append(select);
    return row;
  }

  function facts(rows) {
    const list = make("dl");
    for (const [name, value, kind = ""] of rows) {
      if (value !== "") list.append(make("dt", name), make("dd", value, { className: kind }));
    }
    return list;
  }

  function valueOf(node) {
    if (!Array.isArray(node.value)) return make("div", data.texts[node.value]);
    const [least, largest, mean, nans, infinities, few] = node.value;
    const list = facts([
      ["all", few ?? "", "code"],
      ["least", least === null ? "" : String(least)],
      ["largest", largest === null ? "" : String(largest)],
      ["mean", mean === null ? "" : String(mean)],
      ["NaN", nans ? String(nans) : "", "bad"],
      ["infinite", infinities ? String(infinities) : "", "bad"],
    ]);
    return list.children.length ? list : make("div", "no elements");
  }

  function addLinks(title, numbers) {
    const known = [...new Set(numbers)].filter((number) => nodes.has(number));
    if (known.length === 0) return;
    const list = make("ul"), most = 24;
    for (const number of known.slice(0, most)) {
      const item = make("li"), button = make("button", `${nodes.get(number).label} %${number}`, { type: "button" });
      button.addEventListener("click", () => go(number));
      for (const name of ["pointerenter", "focus"]) button.addEventListener(name, () => light(view.boxesOf.get(number)?.[0] ?? null));
      item.append(button);
      list.append(item);
    }
    if (known.length > most) list.append(make("li", `and ${known.length - most} more`));
    panel.append(make("h3", title), list);
  }

  // --- search -------------------------------------------------------------------------------------------------------

  const MOST_RESULTS = 60;
  const texts = [...nodes.values()].map((node) => [
    node.id,
    `${node.label} ${node.op} %${node.id} ${node.type} ${node.scope} ${node.origin} ${node.role}${node.step === null ? "" : ` step ${node.step}`}`.toLowerCase(),
    node.label.toLowerCase(),
  ]);

  function look() {
    const words = search.value.toLowerCase().split(/\s+/).filter((word) => word !== "");
    found = words.length === 0 ? [] : texts.filter(([, text]) => words.every((word) => text.includes(word)));
    // Whole words first, then labels that begin so.
    const rank = ([, text, label]) => {
      const own = new Set(text.split(" "));
      return 2 * words.filter((word) => !own.has(word)).length + (label.startsWith(words[0]) ? 0 : 1);
    };
    found = found.map((each) => [rank(each), each[0]]).sort((one, other) => one[0] - other[0] || one[1] - other[1]).map(([, number]) => number);
    marked = found.length ? 0 : -1;
    listResults(words.length > 0);
    mark();
  }

  function listResults(isOpen) {
    results.hidden = !isOpen;
    search.setAttribute("aria-expanded", String(isOpen));
    results.replaceChildren(...found.slice(0, MOST_RESULTS).map((number, at) => {
      const node = nodes.get(number), item = make("li", node.label, { id: `result-${at}` });
      item.setAttribute("role", "option");
      const about = [node.type, node.scope, node.step === null ? "" : `step ${node.step}`, node.origin].filter((text) => text !== "");
      item.append(make("small", about.join(" · ")));
      item.addEventListener("pointerdown", (event) => event.preventDefault());
      item.addEventListener("click", () => take(at));
      return item;
    }));
    if (isOpen) {
      const more = found.length > MOST_RESULTS ? `${found.length} nodes, ${MOST_RESULTS} shown` : `${found.length || "no"} node${found.length === 1 ? "" : "s"}`;
      results.append(make("li", more, { className: "note" }));
      say(`${more} found`);
    }
    point();
  }

  function point() {
    [...results.children].forEach((item, at) => {
      if (item.className === "note") return;
      item.setAttribute("aria-selected", String(at === marked));
      if (at === marked) item.scrollIntoView({ block: "nearest" });
    });
    if (marked >= 0) search.setAttribute("aria-activedescendant", `result-${marked}`);
    else search.removeAttribute("aria-activedescendant");
  }

  function take(at) {
    if (at < 0 || at >= found.length) return;
    results.hidden = true;
    search.setAttribute("aria-expanded", "false");
    go(found[at]);
  }

  /* Show in the picture what was found. */
  function mark() {
    for (const box of view.svg.querySelectorAll(".found")) box.classList.remove("found");
    for (const number of found) {
      for (const key of view.boxesOf.get(number) ?? []) view.boxes.get(key)?.classList.add("found");
    }
  }

  search.addEventListener("input", look);
  search.addEventListener("focus", () => { if (search.value !== "") listResults(true); });
  search.addEventListener("blur", () => { results.hidden = true; search.setAttribute("aria-expanded", "false"); });
  search.addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key], count = Math.min(found.length, MOST_RESULTS);
    if (step !== undefined && count) { marked = (marked + step + count) % count; point(); event.preventDefault(); }
    else if (event.key === "Enter") take(marked);
    else if (event.key === "Escape") { search.value = ""; look(); canvas.focus(); event.preventDefault(); }
    event.stopPropagation();
  });

  // --- keys ---------------------------------------------------------------------------------------------------------

  /* One box at a time is reached by the Tab key. */
  function rove(key) {
    for (const box of view.svg.querySelectorAll(".node[tabindex='0']")) box.setAttribute("tabindex", "-1");
    view.boxes.get(key)?.setAttribute("tabindex", "0");
  }

  function enter(key) {
    rove(key);
    view.boxes.get(key).focus({ preventScroll: true });
    light(key);
    reveal(key);
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

  /* The nearest box in a direction; what lies aside counts double. */
  function neighbour(key, [right, down]) {
    const from = middle(key);
    let best = null, least = Infinity;
    for (const other of view.boxes.keys()) {
      const to = middle(other), along = (to.x - from.x) * right + (to.y - from.y) * down;
      const aside = Math.abs((to.x - from.x) * down) + Math.abs((to.y - from.y) * right);
      if (along > 1 && along + 2 * aside < least) { least = along + 2 * aside; best = other; }
    }
    return best;
  }

  document.addEventListener("keydown", (event) => {
    if ($("keys").open || event.ctrlKey || event.metaKey || event.altKey || event.target instanceof HTMLSelectElement) return;
    const key = event.target instanceof Element ? event.target.closest(".node")?.dataset.key ?? null : null;
    const isOnPicture = key !== null || event.target === canvas || event.target === document.body;
    const arrow = ARROWS[event.key], number = Number(event.key);
    if (event.key === "/") search.focus();
    else if (event.key === "?") $("keys").showModal();
    else if (event.key === "+" || event.key === "=") zoom(1.3);
    else if (event.key === "-") zoom(1 / 1.3);
    else if (event.key === "0") fit();
    else if (number >= 1 && number <= views.length) open(views[number - 1]);
    else if (event.key === "Escape") { if (chosen !== null) unchoose(); else canvas.focus(); light(null); }
    else if (arrow && key !== null) { const next = neighbour(key, arrow); if (next !== null) enter(next); }
    else if (arrow && isOnPicture) move(-80 * arrow[0], -80 * arrow[1]);
    else if ((event.key === "Enter" || event.key === " ") && key !== null) { chooseBox(key); view.boxes.get(key).focus({ preventScroll: true }); }
    else if (event.key === "Enter" && event.target === canvas) enter(view.svg.querySelector(".node[tabindex='0']")?.dataset.key ?? view.boxes.keys().next().value);
    else return;
    event.preventDefault();
  });

  $("zoom-in").addEventListener("click", () => zoom(1.3));
  $("zoom-out").addEventListener("click", () => zoom(1 / 1.3));
  $("fit").addEventListener("click", fit);
  $("help").addEventListener("click", () => $("keys").showModal());
  $("close-keys").addEventListener("click", () => $("keys").close());
  addEventListener("resize", () => show(view.window));

  // --- light and dark -----------------------------------------------------------------------------------------------

  const night = matchMedia("(prefers-color-scheme: dark)");
  let theme = null;
  function dress() { document.documentElement.dataset.theme = theme ?? (night.matches ? "dark" : "light"); }
  night.addEventListener("change", dress);
  $("theme").addEventListener("click", () => {
    theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    dress();
  });
  dress();
  overview();
  open(views[0]);
})();
