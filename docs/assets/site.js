// A table that is wider than its page can be moved by the keyboard, too.
document$.subscribe(() => {
  const mark = () =>
    document.querySelectorAll(".md-typeset__scrollwrap").forEach((each) => {
      if (each.scrollWidth > each.clientWidth) each.tabIndex = 0;
      else each.removeAttribute("tabindex");
    });
  requestAnimationFrame(mark);
  addEventListener("resize", mark);
});
