"""Prepares a kernel: formats of results that the SDKs understand.

Runs in the user's namespace, hence everything lives in one function.
"""


def _sandbox_setup():
    import builtins
    import contextlib
    import datetime
    import json
    import traceback
    import warnings

    from IPython import get_ipython
    from IPython.core.formatters import BaseFormatter, JSONFormatter
    from traitlets import ObjectName, Unicode

    shell = get_ipython()
    formatters = shell.display_formatter.formatters
    for colors in ("NoColor", "nocolor"):
        try:
            shell.colors = colors
            break
        except Exception:
            pass
    formatters["text/plain"].max_seq_length = 0

    def plain(value):
        """Reduces a value to what JSON can express; None for missing numbers."""
        if isinstance(value, str):
            return str(getattr(value, "value", value))
        if value is None or isinstance(value, (bool, int)):
            return value
        if isinstance(value, float):
            return value if value == value and value not in (float("inf"), float("-inf")) else None
        if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
            try:
                return value.isoformat()
            except Exception:
                return None
        if isinstance(value, dict):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, (list, tuple, set, frozenset)):
            return [plain(item) for item in value]
        for name in ("tolist", "item"):
            convert = getattr(value, name, None)
            if callable(convert):
                try:
                    converted = convert()
                except Exception:
                    continue
                if type(converted) is not type(value):
                    return plain(converted)
        return str(value)

    class DataFormatter(BaseFormatter):
        format_type = Unicode("e2b/data")
        print_method = ObjectName("_repr_e2b_data_")
        _return_type = (dict, str)

    class ChartFormatter(BaseFormatter):
        format_type = Unicode("e2b/chart")
        print_method = ObjectName("_repr_e2b_chart_")
        _return_type = (dict, str)

        def pop(self, typ, default=None):
            """Keeps its types: the inline backend removes Figure from every formatter."""
            return default

    def describe_frame(frame):
        return plain(frame.to_dict(orient="list"))

    @contextlib.contextmanager
    def readable(axes):
        """Shows the reader of charts only what it knows: it takes error bars for an unknown chart, and
        boxes that are not filled for lines."""
        from matplotlib.container import ErrorbarContainer

        children, containers = list(axes._children), list(axes.containers)
        errors = [container for container in containers if isinstance(container, ErrorbarContainer)]
        marks = {id(mark) for error in errors for part in error.lines[1:] for mark in part}
        try:
            axes._children[:] = outline_boxes([child for child in children if id(child) not in marks])
            axes.containers[:] = [container for container in containers if container not in errors]
            yield
        finally:
            axes._children[:] = children
            axes.containers[:] = containers

    def outline_boxes(children):
        """Puts an outline in place of each line that is the box of a box plot."""
        from matplotlib.lines import Line2D
        from matplotlib.patches import PathPatch
        from matplotlib.path import Path

        lines = [child for child in children if isinstance(child, Line2D)]
        boxes = [line for line in lines if is_rectangle(line.get_xdata(), line.get_ydata())]
        # A box has a median, two whiskers and two caps; outliers are not connected.
        parts = [line for line in lines if len(line.get_xdata()) == 2]
        outliers = [line for line in lines if line.get_linestyle() in ("None", "none", " ", "")]
        if not boxes or len(parts) < 5 * len(boxes):
            return children
        if {id(line) for line in lines} - {id(line) for line in boxes + parts + outliers}:
            return children

        def outline(line):
            patch = PathPatch(Path(line.get_xydata()))
            patch.axes = line.axes
            return patch

        return [outline(child) if child in boxes else child for child in children]

    def is_rectangle(x, y):
        if len(x) != 5 or (x[0], y[0]) != (x[4], y[4]):
            return False
        return len(set(x)) == 2 and len(set(y)) == 2

    def describe_figure(figure):
        try:
            from e2b_charts import chart_figure_to_dict

            # What the reader of charts has to say about its own work is not output of the user's code.
            with warnings.catch_warnings(), contextlib.ExitStack() as changes:
                warnings.simplefilter("ignore")
                for axes in figure.get_axes():
                    changes.enter_context(readable(axes))
                return plain(chart_figure_to_dict(figure))
        except Exception:
            return {}

    data = DataFormatter(parent=shell.display_formatter)
    for module in ("pandas", "pandas.core.frame"):
        data.for_type_by_name(module, "DataFrame", describe_frame)
    chart = ChartFormatter(parent=shell.display_formatter)
    chart.for_type_by_name("matplotlib.figure", "Figure", describe_figure)
    formatters["e2b/data"] = data
    formatters["e2b/chart"] = chart

    json_formatter = formatters.get("application/json")
    if not isinstance(json_formatter, JSONFormatter):
        json_formatter = formatters["application/json"] = JSONFormatter(parent=shell.display_formatter)
    json_formatter.for_type(dict, plain)
    json_formatter.for_type(list, plain)

    def show_images():
        """Displays what PIL shows or saves."""
        try:
            from PIL import Image
        except Exception:
            return
        from IPython.display import display

        save = Image.Image.save

        def show(image, *arguments, **options):
            display(image)

        def save_and_show(image, target, *arguments, **options):
            result = save(image, target, *arguments, **options)
            if isinstance(target, str):
                display(image)
            return result

        Image.Image.show = show
        Image.Image.save = save_and_show

    def send_any_text():
        """Sends text with unpaired surrogates, at which the encoder of messages fails, as escapes."""
        from jupyter_client.jsonutil import json_clean, json_default

        session = shell.kernel.session
        pack = session.pack

        def pack_any(content):
            try:
                return pack(content)
            except UnicodeEncodeError:
                return json.dumps(json_clean(content), default=json_default, allow_nan=False).encode()

        session.pack = pack_any

    def tell_groups():
        """Publishes groups of exceptions as errors; IPython only prints them."""
        # Some versions of the kernel read it before anything has set it, and never reply.
        if not hasattr(shell, "_last_traceback"):
            shell._last_traceback = None
        group = getattr(builtins, "BaseExceptionGroup", None)
        if group is None:
            return

        def show(shell, kind, value, frames, tb_offset=None):
            # The first frame is the shell's own.
            frames = getattr(frames, "tb_next", None) or frames
            lines = "".join(traceback.format_exception(kind, value, frames)).splitlines()
            shell._showtraceback(kind, value, lines)
            return lines

        shell.set_custom_exc((group,), show)

    show_images()
    for prepare in (send_any_text, tell_groups):
        try:
            prepare()
        except Exception:
            pass


try:
    _sandbox_setup()
finally:
    del _sandbox_setup
