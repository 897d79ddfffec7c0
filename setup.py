import re
from pathlib import Path

from setuptools import find_packages, setup

root = Path(__file__).parent
version = re.search(r'__version__ = "(.+)"', (root / "tfrec/__init__.py").read_text())[1]

setup(
    name="tfrec",
    version=version,
    description="Recommenders on TensorFlow's parameter servers, from raw shop events to serving",
    long_description=(root / "README.md").read_text(),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    license_files=["LICENSE"],
    classifiers=[
        "Intended Audience :: Developers",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3.10",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    python_requires=">=3.10,<3.11",
    packages=find_packages(include=["tfrec", "tfrec.*"]),
    package_data={"tfrec": ["py.typed"], "tfrec.data.report": ["page.html"]},
    entry_points={"console_scripts": ["tfrec = tfrec.cli.main:main"]},
    install_requires=[
        "apache-beam>=2.59,<2.60",
        "click>=8.1",
        "google-crc32c>=1.5",
        "grpcio>=1.66",
        "httpx>=0.27",
        "jinja2>=3.1",
        "matplotlib>=3.10,<3.11",
        "numpy>=1.26,<2",
        "openpyxl>=3.1",
        "orjson>=3.9",
        "pandas>=1.5",
        "platformdirs>=4",
        "psutil>=5.9",
        "pyarrow>=10,<11",
        "pydantic>=2.9,<3",
        "python-rapidjson>=1.20",
        "pyyaml>=6",
        "rich>=13",
        "scann==1.3.2",
        "starlette>=1.0",
        "tensorflow==2.16.2",
        "tensorflow-data-validation==1.16.1",
        "tensorflow-recommenders==0.7.7",
        "tensorflow-serving-api==2.16.1",
        "tensorflow-transform==1.16.0",
        "tf-keras==2.16.0",
        "tfx==1.16.0",
        "tfx-bsl==1.16.1",
        "uvicorn>=0.30",
    ],
    extras_require={
        "kubeflow": ["kfp>=2.5,<2.6", "kubernetes>=26.1,<27"],
        "gpu": ["tensorflow[and-cuda]==2.16.2"],
        "dev": [
            "mypy",
            "pytest",
            "pytest-timeout",
            "ruff",
            "types-openpyxl",
            "types-psutil",
            "types-pyyaml",
            "uv",
        ],
    },
)
