(async () => {
  const root = document.currentScript.closest("figure");
  const one = (what) => root.querySelector(what);
  const all = (what) => [...root.querySelectorAll(what)];
  const sliders = all("input[type=range]");
  try {
    const bytes = Uint8Array.from(atob(one(".ps-data").textContent), (c) => c.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
    const { columns, keys, values } = await new Response(stream).json();
    const cells = all("[data-cell]");
    let timer = 0;

    const place = () => sliders.map((slider) => +slider.value);
    const show = () => {
      const at = place();
      const i = at.reduce((sum, index, k) => sum * values[k].length + index, 0);
      one(".ps-frame").innerHTML = columns.map((c) => (c.map ? c[0][c[1][i]] : c)).join("");
      if (!root.matches(".ps-locked")) one(".ps-key output").innerHTML = keys[i];
      sliders.forEach((slider, k) => {
        const text = values[k][at[k]];
        slider.setAttribute("aria-valuetext", text);
        all(".ps-value")[k].textContent = text;
        slider.closest(".ps-knob").style.setProperty("--at", at[k] / slider.max);
      });
      all("button[aria-pressed]").forEach((button) => button.setAttribute("aria-pressed", button.dataset.at == at));
      cells.forEach((cell) => cell.classList.toggle("ps-now", cell.dataset.cell == i));
      root.classList.toggle("ps-home", one(".ps-reset").dataset.at == at);
    };
    const stop = () => {
      clearInterval(timer);
      timer = 0;
      if (one(".ps-play")) one(".ps-play").textContent = "▶ Play";
    };
    const step = () => {
      const slider = sliders[one(".ps-step").dataset.step];
      const more = +slider.value < +slider.max;
      if (more) slider.value++;
      else if (!timer) slider.value = 0;
      show();
      if (+slider.value >= +slider.max) stop();
    };
    const play = () => {
      if (timer) return stop();
      step();
      one(".ps-play").textContent = "❚❚ Pause";
      timer = setInterval(step, 700);
    };
    const unlock = (guess) => {
      root.classList.remove("ps-locked");
      all(".ps-controls :disabled").forEach((control) => (control.disabled = false));
      one("svg").removeAttribute("aria-hidden");
      if (guess) {
        const said = document.createElement("b");
        said.textContent = guess;
        one(".ps-guess").append("You said ", said, ". The model says:");
      }
      show();
      sliders[0].focus({ preventScroll: true });
    };

    root.addEventListener("input", (event) => event.target.type == "range" && (stop(), show()));
    root.addEventListener("click", ({ target }) => {
      const button = target.closest("button");
      if (!button) return;
      if (button.matches(".ps-play")) return play();
      stop();
      if (button.matches(".ps-step")) step();
      if (button.matches(".ps-skip")) unlock("");
      if (button.dataset.at) {
        button.dataset.at.split(",").forEach((index, k) => (sliders[k].value = index));
        show();
      }
    });
    one(".ps-bet")?.addEventListener("submit", (event) => {
      event.preventDefault();
      const field = one(".ps-bet [type=text]");
      unlock((field ? field.value.trim() : one(".ps-bet :checked").value) + (field?.dataset.unit ?? ""));
    });
    root.classList.add("ps-ready");
    if (one(".ps-reset").dataset.at != place()) show();
  } catch (error) {
    root.classList.remove("ps-locked");
    root.classList.add("ps-dead");
    console.warn("panicsim: this browser cannot unpack the figure", error);
  }
})();
