"use strict";
(() => {
  // Dividers: of stills, and of the video.
  const place = (box, share) => {
    const at = Math.min(100, Math.max(0, share));
    box.style.setProperty("--at", `${at}%`);
    const divider = box.querySelector(".divider");
    divider.setAttribute("aria-valuenow", Math.round(at));
    divider.setAttribute("aria-valuetext", `before ${Math.round(at)} %, after ${Math.round(100 - at)} %`);
    box.dataset.at = at;
    box.dispatchEvent(new Event("divide"));
  };
  for (const box of document.querySelectorAll(".compare")) {
    const divider = box.querySelector(".divider");
    const follow = (event) => {
      const area = box.getBoundingClientRect();
      place(box, (100 * (event.clientX - area.left)) / area.width);
    };
    box.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      box.setPointerCapture(event.pointerId);
      divider.focus({ preventScroll: true });
      follow(event);
      event.preventDefault();
    });
    box.addEventListener("pointermove", (event) => {
      if (box.hasPointerCapture(event.pointerId)) follow(event);
    });
    divider.addEventListener("keydown", (event) => {
      const now = Number(box.dataset.at);
      const step = event.shiftKey ? 10 : 2;
      const to = {
        ArrowLeft: now - step, ArrowDown: now - step, ArrowRight: now + step, ArrowUp: now + step,
        PageDown: now - 10, PageUp: now + 10, Home: 0, End: 100,
      }[event.key];
      if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
      event.preventDefault();
      place(box, to);
    });
    place(box, 50);
  }

  // The player: one video holds the source above and the output below, so both halves are always the same frame.
  const clock = (seconds) => {
    const tenths = Math.round(10 * seconds);
    const two = (value) => String(value).padStart(2, "0");
    const rest = `${two(Math.floor(tenths / 10) % 60)}.${tenths % 10}`;
    const minutes = Math.floor(tenths / 600);
    return minutes < 60 ? `${minutes}:${rest}` : `${Math.floor(minutes / 60)}:${two(minutes % 60)}:${rest}`;
  };
  const player = document.getElementById("player");
  const excerpts = [...document.querySelectorAll("script.excerpt")];
  if (player && excerpts.length) {
    const box = player.querySelector(".compare");
    const canvas = box.querySelector("canvas");
    const context = canvas.getContext("2d");
    const video = document.createElement("video");
    video.muted = video.playsInline = video.loop = true;
    video.preload = "auto";
    const part = (name) => player.querySelector(`[data-act=${name}]`);
    const time = player.querySelector("[data-role=time]");
    const choice = document.getElementById("excerpt");
    const urls = new Map();
    let shown = excerpts[0].dataset;

    const draw = () => {
      if (video.readyState < 2) return;
      const { width, height } = canvas;
      const at = Math.round((width * Number(box.dataset.at)) / 100);
      // Half a pixel is left out where the halves meet, so that neither shows through in the other.
      const half = video.videoHeight / 2, share = video.videoWidth / width;
      if (at > 0) context.drawImage(video, 0, 0, at * share, half - 0.5, 0, 0, at, height);
      if (at < width) {
        context.drawImage(video, at * share, half + 0.5, (width - at) * share, half - 0.5, at, 0, width - at, height);
      }
      if (document.activeElement !== part("seek")) part("seek").value = Math.round((1000 * video.currentTime) / shown.seconds);
      const text = clock(Number(shown.begin) + video.currentTime);
      if (time.textContent !== text) time.textContent = text;
    };
    const keepDrawing = () => {
      draw();
      if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(keepDrawing);
      else requestAnimationFrame(keepDrawing);
    };
    const fit = () => {
      const scale = Math.min(2, window.devicePixelRatio || 1);
      const wanted = Math.max(Number(shown.width), Math.round(box.clientWidth * scale));
      canvas.width = Math.min(wanted, 1920);
      canvas.height = Math.round((canvas.width * shown.height) / shown.width);
      draw();
    };
    const load = (number) => {
      const element = excerpts[number];
      if (!urls.has(number)) {
        const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
        urls.set(number, URL.createObjectURL(new Blob([bytes], { type: "video/mp4" })));
      }
      shown = element.dataset;
      box.style.setProperty("--ratio", `${shown.width} / ${shown.height}`);
      box.style.setProperty("--aspect", shown.width / shown.height);
      if (choice) choice.value = number;
      video.src = urls.get(number);
      video.playbackRate = video.defaultPlaybackRate = Number(part("rate").value);
      fit();
    };
    const play = (go) => (go ? video.play().catch(() => {}) : video.pause());
    const step = (frames) => {
      play(false);
      const frame = shown.seconds / shown.frames;
      const now = Math.round(video.currentTime / frame - 0.25) + frames;
      video.currentTime = (Math.min(shown.frames - 1, Math.max(0, now)) + 0.25) * frame;
    };
    for (const name of ["play", "pause"]) {
      video.addEventListener(name, () => {
        part("play").textContent = video.paused ? "Play" : "Stop";
        part("play").setAttribute("aria-pressed", String(!video.paused));
      });
    }
    for (const name of ["loadeddata", "seeked", "timeupdate"]) video.addEventListener(name, draw);
    video.addEventListener("loadeddata", () => { player.dataset.ready = "true"; });
    video.addEventListener("error", () => {
      player.dataset.ready = "failed";
      time.textContent = "this browser cannot play H.264";
    });
    box.addEventListener("divide", draw);
    part("play").addEventListener("click", () => play(video.paused));
    part("back").addEventListener("click", () => step(-1));
    part("forward").addEventListener("click", () => step(1));
    part("seek").addEventListener("input", (event) => { video.currentTime = (event.target.value * shown.seconds) / 1000; });
    part("rate").addEventListener("change", (event) => { video.playbackRate = Number(event.target.value); });
    if (choice) choice.addEventListener("change", () => { const going = !video.paused; load(Number(choice.value)); play(going); });
    player.addEventListener("keydown", (event) => {
      if (event.target.closest("button, select, input") || event.ctrlKey || event.metaKey || event.altKey) return;
      if (event.key === " ") play(video.paused);
      else if (event.key === ",") step(-1);
      else if (event.key === ".") step(1);
      else return;
      event.preventDefault();
    });
    for (const button of document.querySelectorAll("[data-excerpt]")) {
      button.addEventListener("click", () => {
        load(Number(button.dataset.excerpt));
        document.getElementById("compare").scrollIntoView();
        box.querySelector(".divider").focus({ preventScroll: true });
        play(true);
      });
    }
    window.addEventListener("resize", fit);
    load(0);
    keepDrawing();
  }

  // Plots: time and values under the pointer, read off the lines.
  const value = (path, x) => {
    if (!path.points) {
      path.points = [...path.getAttribute("d").matchAll(/([ML])(-?[\d.]+) (-?[\d.]+)/g)].map((m) => [m[1], Number(m[2]), Number(m[3])]);
    }
    let before = null;
    for (const point of path.points) {
      const [kind, right, y] = point;
      if (Math.abs(right - x) < 1) return y;
      if (before && kind === "L" && before[1] <= x && x <= right) {
        return before[2] + ((y - before[2]) * (x - before[1])) / (right - before[1]);
      }
      before = point;
    }
    return null;
  };
  for (const plot of document.querySelectorAll(".plot")) {
    const area = plot.querySelector(".area"), read = plot.querySelector(".read");
    const [top, unit] = plot.dataset.top.split(" ");
    let cursor = null;
    area.addEventListener("pointermove", (event) => {
      const box = area.getBoundingClientRect();
      const x = (1000 * (event.clientX - box.left)) / box.width;
      const values = [];
      for (const path of area.querySelectorAll("path")) {
        const y = value(path, x);
        if (y !== null) values.push((Number(top) * (1 - y / 100)).toPrecision(3));
      }
      if (!cursor) {
        cursor = document.createElement("i");
        cursor.className = "cursor";
        area.append(cursor);
      }
      cursor.style.left = `${x / 10}%`;
      read.textContent = `${clock(Number(plot.dataset.first) + (Number(plot.dataset.seconds) * Math.min(1000, Math.max(0, x))) / 1000)}${values.length ? `: ${values.join(" → ")}${unit ? ` ${unit}` : ""}` : ""}`;
    });
    area.addEventListener("pointerleave", () => {
      if (cursor) cursor.remove();
      cursor = null;
      read.textContent = "";
    });
  }
})();
