"""A headless Chromium, where one is installed."""

import os
import shutil
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

CHROMIUM, DRIVER = (shutil.which(name) for name in ("chromium", "chromedriver"))
INSTALLED = bool(CHROMIUM and DRIVER)
OPTIONS = (
    "--headless=new", "--disable-gpu", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-quic", "--disable-dev-shm-usage",
    "--window-size=1280,1500",
)  # fmt: skip


def open_browser(profile: Path) -> webdriver.Chrome:
    """A browser that keeps its console's messages (get_log("browser")). profile: a folder of its own."""
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    sandbox = ["--no-sandbox"] if os.getuid() == 0 else []  # root has none
    for option in (*OPTIONS, f"--user-data-dir={profile}", *sandbox):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    return webdriver.Chrome(options=options, service=Service(DRIVER))
