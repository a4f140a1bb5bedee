"""site-NAME.json, read by `lkhub build-site`."""

from lkhub.render.files import RenderedFile
from lkhub.wire.site_build import SiteBuild, dump_site_build, name_site_file


def render_site_build(build: SiteBuild) -> RenderedFile:
    """How a site is built. It holds no token: that is made when the build runs."""
    return RenderedFile(name_site_file(build.name), dump_site_build(build))
