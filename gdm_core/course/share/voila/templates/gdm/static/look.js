// Light or dark: as the system says, until the button in the bar says otherwise (remembered where the browser allows).
(() => {
  const root = document.documentElement, dark = matchMedia("(prefers-color-scheme: dark)");
  const now = () => root.dataset.theme ?? (dark.matches ? "dark" : "light");
  try {
    const kept = localStorage.getItem("gdm-theme");
    if (kept === "light" || kept === "dark") root.dataset.theme = kept;
  } catch {} // a page from disk may have no storage
  addEventListener("DOMContentLoaded", () => {
    const button = document.querySelector(".bar [data-theme-button]");
    const show = () => {
      const other = now() === "dark" ? "light" : "dark";
      button.textContent = other === "dark" ? "Dark" : "Light";
      button.setAttribute("aria-label", `Turn the page ${other}`);
    };
    button?.addEventListener("click", () => {
      root.dataset.theme = now() === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("gdm-theme", root.dataset.theme);
      } catch {}
      show();
    });
    dark.addEventListener("change", show);
    if (button) show();
  });
})();
