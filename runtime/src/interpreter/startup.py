"""Prepares a kernel: formats of results that the SDKs understand.

Runs in the user's namespace, hence everything lives in one function.
"""


def _sandbox_setup():
    import datetime

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

    def describe_figure(figure):
        try:
            from e2b_charts import chart_figure_to_dict

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

    show_images()


try:
    _sandbox_setup()
finally:
    del _sandbox_setup
